// What the programs for Node share: a question per line of input, an answer per line of output, both in JSON.
import { createInterface } from 'node:readline';

export const [url, key, model] = process.argv.slice(2);
export const messages = [{ role: 'user', content: 'Hi' }];
export const weather = {
  name: 'weather',
  description: 'The weather of a city.',
  parameters: { type: 'object', properties: { city: { type: 'string' } }, required: ['city'] },
};

/** Answer each line by `ask(question, answer)`, which fills the answer in; what it throws becomes the failure. */
export async function answerEachLine(ask, failureOf) {
  for await (const line of createInterface({ input: process.stdin })) {
    const answer = { text: '', finish_reason: null, usage: null, tool_name: '', tool_arguments: '', failure: null };
    try {
      await ask(JSON.parse(line), answer);
    } catch (error) {
      answer.failure = failureOf(error);
    }
    console.log(JSON.stringify(answer));
  }
}
