// `@openai/agents-realtime`: a RealtimeSession over its WebSocket transport.
//
// The library runs the tool, truncates an interrupted answer and asks for items back by itself.
// Must never know more of the project than the environment that the host hands over.
import { OpenAIRealtimeWebSocket, RealtimeAgent, RealtimeSession, tool } from '@openai/agents-realtime';
import { z } from 'zod';
import { ASK_TIME, KEY, MODEL, NOON, URL_, Talk, version } from './talk.mjs';

const talk = new Talk('@openai/agents-realtime', version('@openai/agents-realtime'));

await talk.perform(async (report) => {
  const clock = tool({
    name: 'clock',
    description: 'Tells the time in a city.',
    parameters: z.object({ city: z.string() }),
    execute: async ({ city }) => {
      report.calls.push(['clock', city]);
      return NOON;
    },
  });
  const agent = new RealtimeAgent({ name: 'speaker', instructions: 'Be brief.', tools: [clock] });
  const transport = new OpenAIRealtimeWebSocket({ url: `${URL_}?model=${MODEL}` });
  const session = new RealtimeSession(agent, {
    transport,
    model: MODEL,
    config: {
      outputModalities: ['audio'],
      audio: {
        input: { transcription: { model: 'gpt-transcribe' }, turnDetection: { type: 'server_vad', interruptResponse: true } },
        output: { voice: 'marin' },
      },
    },
  });
  const items = new Map();
  let done = 0;
  transport.on('audio', (event) => items.set(event.responseId, (items.get(event.responseId) ?? 0) + event.data.byteLength));
  transport.on('*', (event) => {
    if (event.type === 'response.done') done += 1;
    if (event.type === 'error') report.errors.push(JSON.stringify(event.error));
  });
  session.on('audio_interrupted', () => (report.interruptions += 1));
  session.on('error', (event) => report.errors.push(String(event.error?.message ?? event.error?.error?.message ?? JSON.stringify(event.error))));
  await session.connect({ apiKey: KEY });
  const push = (block) => session.sendAudio(block.buffer.slice(block.byteOffset, block.byteOffset + block.length));
  session.sendMessage('Good evening!');
  await talk.until(() => done >= 1, 'the answer to the text');
  report.held.push('text');
  await talk.speak(push);
  await talk.until(() => done >= 2, 'the answer to the question');
  report.held.push('voice');
  await talk.speak(push);
  await talk.until(() => items.size >= 3, 'the story');
  const before = report.interruptions;
  await talk.pause(300);
  await talk.speak(push);
  await talk.until(() => report.interruptions > before, 'the interruption');
  await talk.until(() => done >= 4, 'the answer to the interruption');
  report.held.push('barge-in');
  session.sendMessage(ASK_TIME);
  await talk.until(() => report.calls.length >= 1, 'the call');
  await talk.until(() => done >= 6, 'the answer after the tool');
  report.held.push('tool');
  report.audio_bytes.push(...items.values());
  session.close();
});
