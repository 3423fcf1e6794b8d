// The official `@anthropic-ai/sdk` package.
import Anthropic from '@anthropic-ai/sdk';

import { historyOf, key, parameters, question, serve, url, weather } from './lines.mjs';

const client = new Anthropic({ baseURL: url, apiKey: key });
const tools = [{ name: 'weather', input_schema: parameters }];

async function ask(request, stream) {
  if (!stream) return client.messages.create(request);
  return client.messages.stream(request).finalMessage();
}

await serve(async ({ app, user, conversation, stream }) => {
  const messages = historyOf(conversation);
  messages.push({ role: 'user', content: question });
  for (;;) {
    const request = { model: app, messages, tools, max_tokens: 1000, metadata: { user_id: user } };
    const { content } = await ask(request, stream);
    messages.push({ role: 'assistant', content });
    const calls = content.filter((block) => block.type === 'tool_use');
    if (!calls.length) return content.map((block) => block.text).join('');
    const results = calls.map(({ id, input }) => {
      return { type: 'tool_result', tool_use_id: id, content: weather(input) };
    });
    messages.push({ role: 'user', content: results });
  }
});
