// OpenFeature's own packages: the server's SDK evaluates flag by flag, the browser's all at once and when told to.
import { OpenFeature } from '@openfeature/server-sdk';
import { OpenFeature as Browser } from '@openfeature/web-sdk';
import { OFREPProvider } from '@openfeature/ofrep-provider';
import { OFREPWebProvider } from '@openfeature/ofrep-web-provider';
import { EventSource } from 'eventsource';
import { createInterface } from 'node:readline';

globalThis.EventSource = EventSource; // as browsers have it

const [url, key, app] = process.argv.slice(2);
const headers = { Authorization: `Bearer ${key}` };
await OpenFeature.setProviderAndWait(new OFREPProvider({ baseUrl: url, headers }));
const server = OpenFeature.getClient();

async function inBrowser(user) {
  await Browser.setContext({ targetingKey: user });
  await Browser.setProviderAndWait(new OFREPWebProvider({ baseUrl: url, headers: Object.entries(headers), pollInterval: 0 }));
  return Browser.getClient();
}

async function answer({ ask, user, flag = app, attributes = {} }) {
  if (ask === 'server') return server.getObjectDetails(flag, { none: true }, { targetingKey: user, ...attributes });
  if (ask === 'browser') return (await inBrowser(user)).getObjectDetails(flag, { none: true });
  return Browser.getClient().getObjectDetails(flag, { none: true }); // as it is by now: it is told of changes
}

for await (const line of createInterface({ input: process.stdin })) {
  const { value, variant, reason, errorCode, flagMetadata } = await answer(JSON.parse(line));
  console.log(JSON.stringify({ value, variant, reason, errorCode, flagMetadata }));
}
await OpenFeature.close();
await Browser.close();
process.exit(0);
