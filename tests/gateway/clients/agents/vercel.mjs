// Vercel's `ai` with `@ai-sdk/openai` (Responses), or with `@ai-sdk/anthropic`, as the third argument says.
import { createAnthropic } from '@ai-sdk/anthropic';
import { createOpenAI } from '@ai-sdk/openai';
import { generateText, jsonSchema, stepCountIs, streamText, tool } from 'ai';

import { api, historyOf, key, parameters, question, serve, url, weather } from './lines.mjs';

const make = api === 'messages' ? createAnthropic : createOpenAI;
const provider = make({ baseURL: `${url}/v1`, apiKey: key });
const inputSchema = jsonSchema(parameters);
const tools = { weather: tool({ description: 'The weather of a city.', inputSchema, execute: weather }) };

await serve(async ({ app, user, conversation, stream }) => {
  const messages = historyOf(conversation);
  messages.push({ role: 'user', content: question });
  const headers = { 'x-user-id': user };
  const request = { model: provider(app), messages, tools, headers, stopWhen: stepCountIs(5), maxRetries: 0 };
  let failure;
  const onError = ({ error }) => (failure = error);
  const result = stream ? streamText({ ...request, onError }) : await generateText(request);
  if (stream) await result.consumeStream();
  if (failure) throw failure;
  messages.push(...(await result.response).messages);
  return result.text;
});
