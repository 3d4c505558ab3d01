// `@copilotkit/aimock`: its Realtime mock with a few fixtures.
//
//     node aimock_server.mjs PORT
//
// It hears nothing and speaks nothing: it answers in writing, calls tools, and has ways of its own
// with errors.  Must never know more of the project than its port.
import { LLMock } from '@copilotkit/aimock';

const mock = new LLMock({ port: Number(process.argv[2]), host: '127.0.0.1' });
mock.on({ userMessage: 'time', hasToolResult: false }, { toolCalls: [{ name: 'clock', arguments: '{"city":"Lisbon"}' }] });
mock.on({ userMessage: 'time', hasToolResult: true }, { content: 'It is noon in Lisbon.' });
mock.onMessage('evening', { content: 'Good evening.' });
mock.onMessage('quota', { error: { message: 'You exceeded your current quota.', type: 'insufficient_quota', code: 'insufficient_quota' }, status: 429 });
await mock.start();
console.log(`listening at ${mock.url}`);
