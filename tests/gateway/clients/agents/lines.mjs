// What the programs for Node share: a turn of a conversation in each line of input, what came of it in each of output.
import { createInterface } from 'node:readline';

export const [url, key, api] = process.argv.slice(2);
export const question = 'What is the weather in Oslo?';
export const weather = ({ city }) => `rain in ${city}`;
export const parameters = {
  type: 'object',
  properties: { city: { type: 'string' } },
  required: ['city'],
  additionalProperties: false,
};

/** The history of a conversation, to be added to. */
const histories = new Map();
export function historyOf(conversation) {
  if (!histories.has(conversation)) histories.set(conversation, []);
  return histories.get(conversation);
}

/** Answer each line by `talk(line)`, which gives the words that the user sees; what it throws becomes the failure. */
export async function serve(talk) {
  console.log = console.info = console.warn = console.error; // some packages write hints to where answers belong
  for await (const text of createInterface({ input: process.stdin })) {
    const answer = { text: '', failure: null };
    try {
      answer.text = await talk(JSON.parse(text));
    } catch (error) {
      console.error(error);
      answer.failure = `${error.constructor.name}: ${error.message}`;
    }
    process.stdout.write(`${JSON.stringify(answer)}\n`);
  }
}
