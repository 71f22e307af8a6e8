// A client of dialect 003: health, quote, submit, follow, read back, list, figures.
import { call, check, listen } from './common.mjs';

check((await call('/health', 200)).status === 'ok', 'healthy');
const { quote, estimatedOutput } = await call('/api/orders/quote', 200, { tokenIn: 'SOL', tokenOut: 'USDC', amount: 100 });
console.log(`${quote.dex} ${quote.price.toFixed(4)}, fee ${quote.feePercentage} (${quote.feeAmount.toFixed(4)}), ${quote.amountAfterFee.toFixed(4)} left, ${estimatedOutput} out`);
const order = await call('/api/orders/execute', 200, { tokenIn: 'SOL', tokenOut: 'USDC', amount: 100, maxSlippage: 0.05 });
check(order.status === 'pending' && order.message === 'Order received and queued', order.message);
const heard = await listen(`/api/orders/${order.orderId}/ws`, (message) => ['confirmed', 'failed'].includes(message.status));
for (const { type, status, data } of heard) {
  check(type === 'order_update', type);
  console.log(status, data?.txHash ?? '', data?.executedPrice ?? '', data?.error ?? '');
}
const read = await call(`/api/orders/${order.orderId}`, 200);
check(read.status === heard.at(-1).status && 'requiresWrapping' in read.data, 'read back as it ended');
const rows = await call('/api/orders?limit=10&offset=0', 200);
check(rows[0].token_in === 'SOL' && rows[0].amount === '100.00000000' && rows[0].max_slippage === '0.0500', 'a row in snake case');
const { config } = await call('/api/queue/stats', 200);
check('maxConcurrentOrders' in config, 'queue figures');
console.log(Object.keys((await call('/api/metrics?limit=1000', 200)).byDex).join(', '));
for (const bad of [{ amount: 0 }, { amount: 1, maxSlippage: -0.01 }, {}]) {
  check((await call('/api/orders/execute', 400, { tokenIn: 'SOL', tokenOut: 'USDC', ...bad })).error, 'refused with a reason');
}
