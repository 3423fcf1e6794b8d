// OpenAI's `@openai/agents`, which asks for Responses and sends the whole conversation each time.
import { Agent, OpenAIProvider, Runner, setTracingDisabled, tool, user as said } from '@openai/agents';

import { historyOf, key, parameters, question, serve, url, weather } from './lines.mjs';

setTracingDisabled(true);
const runner = new Runner({ modelProvider: new OpenAIProvider({ baseURL: `${url}/v1`, apiKey: key }) });
const tools = [tool({ name: 'weather', description: 'The weather of a city.', parameters, execute: weather })];

await serve(async ({ app, user, conversation, stream }) => {
  const history = historyOf(conversation);
  const modelSettings = { providerData: { user } };
  const agent = new Agent({ name: 'helper', instructions: 'Help.', model: app, tools, modelSettings });
  const result = await runner.run(agent, [...history, said(question)], { stream });
  if (stream) {
    for await (const _ of result);
    await result.completed;
  }
  history.splice(0, history.length, ...result.history);
  return result.finalOutput;
});
