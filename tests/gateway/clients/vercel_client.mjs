// Vercel's `ai` with its provider for whatever speaks OpenAI's chat completions.
import { createOpenAICompatible } from '@ai-sdk/openai-compatible';
import { generateText, jsonSchema, streamText, tool } from 'ai';

import { answerEachLine, key, messages, model, url, weather } from './questions.mjs';

const name = 'gateway';
const plain = createOpenAICompatible({ name, baseURL: url, apiKey: key });
const withUsage = createOpenAICompatible({ name, baseURL: url, apiKey: key, includeUsage: true });
const tools = {
  [weather.name]: tool({ description: weather.description, inputSchema: jsonSchema(weather.parameters) }),
};

function end(answer, { rawFinishReason, usage, totalUsage }) {
  const { inputTokens, outputTokens } = usage ?? totalUsage;
  answer.finish_reason = rawFinishReason;
  if (inputTokens !== undefined) answer.usage = [inputTokens, outputTokens];
}

function call(answer, { toolName, input }) {
  answer.tool_name += toolName;
  answer.tool_arguments += JSON.stringify(input);
}

async function readWhole(request, answer) {
  const result = await generateText(request);
  answer.text = result.text;
  result.toolCalls.forEach((one) => call(answer, one));
  end(answer, result);
}

async function readStream(request, leave, answer) {
  const leaving = new AbortController();
  const options = { abortSignal: leaving.signal, includeRawChunks: leave, onError: () => {} };
  for await (const part of streamText({ ...request, ...options }).fullStream) {
    if (part.type === 'text-delta') answer.text += part.text;
    if (part.type === 'tool-call') call(answer, part);
    if (part.type === 'finish') end(answer, part);
    if (part.type === 'error') throw part.error;
    answer.finish_reason = (leave && part.rawValue?.choices[0]?.finish_reason) || answer.finish_reason;
    if (leave && answer.finish_reason) return leaving.abort(); // closes the stream
  }
}

async function ask(question, answer) {
  const request = {
    model: (question.usage ? withUsage : plain)(model),
    messages,
    maxRetries: question.retries,
    providerOptions: { [name]: { user: question.user } },
  };
  if (question.tools) request.tools = tools;
  await (question.stream ? readStream(request, question.leave, answer) : readWhole(request, answer));
}

await answerEachLine(ask, (error) => ({
  kind: error.name ?? typeof error,
  status: error.statusCode ?? null,
  message: error.message ?? String(error),
  retry_after: error.responseHeaders?.['retry-after'] ?? null,
}));
