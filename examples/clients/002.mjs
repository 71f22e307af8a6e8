// A client of dialect 002: five orders at once, a socket each, what every DEX offered, a summary.
import { call, check, listen } from './common.mjs';

const ORDERS = [['SOL', 'USDC', 100], ['ETH', 'USDT', 50], ['BTC', 'USDC', 1], ['BONK', 'SOL', 1_000_000], ['RAY', 'USDC', 500]];

async function follow([tokenIn, tokenOut, amountIn]) {
  const { orderId, status } = await call('/api/orders/execute', 201, { type: 'market', tokenIn, tokenOut, amountIn, slippage: 0.02 });
  check(status === 'pending', `a new order is pending, not ${status}`);
  const heard = await listen(`/api/orders/${orderId}/ws`, () => false); // the server closes
  for (const { routing } of heard.filter((message) => message.routing)) {
    const shown = ['raydium', 'meteora'].map((dex) => `${dex} ${routing[dex].outputAmount.toFixed(4)} (${(routing[dex].fee * 100).toFixed(2)} %)`);
    console.log(`${tokenIn} > ${tokenOut}: ${shown.join(', ')}: ${routing.selected.toUpperCase()}`);
  }
  check(heard.some((message) => message.message === 'Connected to order status stream'), 'greeted');
  const last = heard.at(-1);
  console.log(last.status, last.txHash ?? last.error, last.executedPrice?.toFixed(6), last.dex?.toUpperCase());
  const order = await call(`/api/orders/${orderId}`, 200);
  const history = await call(`/api/orders/${orderId}/history`, 200);
  check(order.status === last.status && history.at(-1).status === last.status, 'read back as it ended');
  return last.status;
}

const ends = await Promise.all(ORDERS.map(follow));
console.log(`successful: ${ends.filter((end) => end === 'confirmed').length}, failed: ${ends.filter((end) => end === 'failed').length}`);
const metrics = await call('/api/queue/metrics', 200);
check(typeof metrics.total === 'number' && typeof metrics.websocketConnections === 'number', 'queue figures');
check((await call('/api/orders?limit=5', 200)).length === 5, 'the list has them');
const refused = await call('/api/orders/execute', 400, { type: 'limit', tokenIn: 'SOL', tokenOut: 'USDC', amountIn: 1 });
check(refused.error === 'Only MARKET orders are currently supported', refused.error);
