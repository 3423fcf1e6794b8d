// The official `openai` package with Responses, each of which continues the one before by its id.
import OpenAI from 'openai';

import { key, parameters, question, serve, url, weather } from './lines.mjs';

const client = new OpenAI({ baseURL: `${url}/v1`, apiKey: key });
const tools = [{ type: 'function', name: 'weather', strict: true, parameters }];
const threads = new Map();

async function ask(request, stream) {
  if (!stream) return client.responses.create(request);
  return client.responses.stream(request).finalResponse();
}

await serve(async ({ app, user, conversation, stream }) => {
  let input = [{ role: 'user', content: question }];
  for (;;) {
    const previous_response_id = threads.get(conversation);
    const response = await ask({ model: app, input, tools, user, previous_response_id }, stream);
    threads.set(conversation, response.id);
    const calls = response.output.filter((item) => item.type === 'function_call');
    if (!calls.length) return response.output_text;
    input = calls.map(({ call_id, arguments: given }) => {
      return { type: 'function_call_output', call_id, output: weather(JSON.parse(given)) };
    });
  }
});
