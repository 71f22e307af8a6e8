// A client of dialect 001: submit, open the socket that the answer names, read flat states.
import { call, check, listen } from './common.mjs';

const ENDS = ['confirmed', 'failed', 'slippage_failed'];
const answer = await call('/api/orders/execute', 200, { tokenIn: 'SOL', tokenOut: 'USDC', amountIn: 5 });
check(answer.status === 'queued' && answer.ws_url === `/api/orders/upgrade/${answer.orderId}`, 'queued, with its socket');
check(/^[a-f0-9]+$/.test(answer.orderId), 'ids are hex digits here');
const heard = await listen(answer.ws_url, (message) => ENDS.includes(message.status));
for (const state of heard) {
  console.log(state.status, state.txHash, state.executedPrice, state.lastError);
  for (const key of ['orderId', 'txHash', 'executedPrice', 'lastError', 'attempts', 'updatedAt']) {
    check(key in state, `${key} is missing`);
  }
}
check(heard.at(-1).status !== 'confirmed' || heard.at(-1).executedPrice.toFixed(6) > 0, 'a price to show');
const page = await fetch((process.env.API_BASE ?? 'http://localhost:3000') + '/static/client.html');
check(page.status === 200, 'the page is there');
