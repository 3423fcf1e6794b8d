// The official `openai` package, as its documentation uses it.
import OpenAI from 'openai';

import { answerEachLine, key, messages, model, url, weather } from './questions.mjs';

const client = new OpenAI({ baseURL: url, apiKey: key });

function add(answer, { choices, usage }) {
  for (const { message, delta, finish_reason } of choices) {
    const part = message ?? delta;
    answer.text += part.content ?? '';
    for (const call of part.tool_calls ?? []) {
      answer.tool_name += call.function.name ?? '';
      answer.tool_arguments += call.function.arguments ?? '';
    }
    answer.finish_reason = finish_reason ?? answer.finish_reason;
  }
  if (usage) answer.usage = [usage.prompt_tokens, usage.completion_tokens];
}

async function ask({ user, stream, usage, tools, leave, retries }, answer) {
  const request = { model, messages, user, stream };
  if (tools) request.tools = [{ type: 'function', function: weather }];
  if (usage) request.stream_options = { include_usage: true };
  const response = await client.chat.completions.create(request, { maxRetries: retries });
  if (!stream) return add(answer, response);
  for await (const chunk of response) {
    add(answer, chunk);
    if (leave && answer.finish_reason) break; // closes the stream
  }
}

await answerEachLine(ask, (error) => ({
  kind: error.constructor.name,
  status: error.status ?? null,
  message: error.message,
  retry_after: error.headers?.get('retry-after') ?? null,
}));
