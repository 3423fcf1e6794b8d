// The official `openai` package with chat completions.
import OpenAI from 'openai';

import { historyOf, key, parameters, question, serve, url, weather } from './lines.mjs';

const client = new OpenAI({ baseURL: `${url}/v1`, apiKey: key });
const tools = [{ type: 'function', function: { name: 'weather', strict: true, parameters } }];

async function ask(request, stream) {
  if (!stream) return (await client.chat.completions.create(request)).choices[0].message;
  return client.chat.completions.stream(request).finalMessage();
}

await serve(async ({ app, user, conversation, stream }) => {
  const messages = historyOf(conversation);
  messages.push({ role: 'user', content: question });
  for (;;) {
    const message = await ask({ model: app, messages, tools, user }, stream);
    messages.push(message);
    if (!message.tool_calls?.length) return message.content;
    for (const { id, function: called } of message.tool_calls) {
      messages.push({ role: 'tool', tool_call_id: id, content: weather(JSON.parse(called.arguments)) });
    }
  }
});
