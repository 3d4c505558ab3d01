// `openai` for Node: its realtime WebSocket client holds a talk with our server.
//
// It insists on wss://, so the host serves TLS under a throw-away authority.  Must never know more
// of the project than the environment that the host hands over; see talk.py for what that is.
import OpenAI from 'openai';
import { OpenAIRealtimeWS } from 'openai/realtime/ws';
import { ASK_TIME, KEY, MODEL, NOON, URL_, Talk, version } from './talk.mjs';

const talk = new Talk('openai', version('openai'));

await talk.perform(async (report) => {
  const client = new OpenAI({ apiKey: KEY, baseURL: URL_.replace('wss:', 'https:').replace('/realtime', '') });
  const rt = new OpenAIRealtimeWS({ model: MODEL }, client);
  const done = [];
  let story = null;
  rt.on('error', (error) => report.errors.push(String(error.message)));
  rt.on('response.content_part.added', (event) => {
    if (event.part.type === 'output_audio' || event.part.type === 'audio') {
      report.audio_bytes.push(0);
      report.words.push('');
      story = event.item_id;
    }
  });
  rt.on('response.output_audio.delta', (event) => talk.add(Buffer.from(event.delta, 'base64').length));
  rt.on('response.output_audio_transcript.done', (event) => (report.words[report.words.length - 1] = event.transcript));
  rt.on('input_audio_buffer.speech_started', () => (report.interruptions += 1));
  rt.on('response.done', (event) => done.push(event.response));
  let truncated = 0;
  rt.on('conversation.item.truncated', () => (truncated += 1));
  let updated = false;
  rt.on('session.updated', () => (updated = true));
  await new Promise((resolve, reject) => {
    rt.socket.on('open', resolve);
    rt.socket.on('error', reject);
  });
  const push = (block) => rt.send({ type: 'input_audio_buffer.append', audio: block.toString('base64') });
  const say = (text) => {
    rt.send({ type: 'conversation.item.create', item: { type: 'message', role: 'user', content: [{ type: 'input_text', text }] } });
    rt.send({ type: 'response.create' });
  };
  rt.send({
    type: 'session.update',
    session: {
      type: 'realtime',
      instructions: 'Be brief.',
      tools: [{ type: 'function', name: 'clock', description: 'Tells the time.', parameters: { type: 'object', properties: { city: { type: 'string' } } } }],
      audio: {
        input: { transcription: { model: 'gpt-transcribe' }, turn_detection: { type: 'server_vad', silence_duration_ms: 300 } },
        output: { voice: 'marin' },
      },
    },
  });
  await talk.until(() => updated, 'session.updated');
  say('Good evening!');
  await talk.until(() => done.length >= 1, 'the answer to the text');
  report.held.push('text');
  await talk.speak(push);
  await talk.until(() => done.length >= 2, 'the answer to the question');
  report.held.push('voice');
  await talk.speak(push);
  await talk.until(() => report.audio_bytes.length >= 3 && report.audio_bytes[2] > 0, 'the story');
  const interrupted = story;
  await talk.speak(push);
  await talk.until(() => done.length >= 3, 'the end of the story');
  if (done[2].status !== 'cancelled') report.errors.push(`the story ended as ${done[2].status}`);
  rt.send({ type: 'conversation.item.truncate', item_id: interrupted, content_index: 0, audio_end_ms: 50 });
  await talk.until(() => truncated === 1, 'the truncation');
  await talk.until(() => done.length >= 4, 'the answer to the interruption');
  report.held.push('barge-in');
  say(ASK_TIME);
  await talk.until(() => done.length >= 5, 'the call');
  const call = done[4].output.find((item) => item.type === 'function_call');
  report.calls.push([call.name, call.arguments]);
  rt.send({ type: 'conversation.item.create', item: { type: 'function_call_output', call_id: call.call_id, output: NOON } });
  rt.send({ type: 'response.create' });
  await talk.until(() => done.length >= 6, 'the answer after the tool');
  report.held.push('tool');
  rt.send({ type: 'response.create', response: { conversation: 'none', output_modalities: ['text'], metadata: { topic: 'summary' }, input: [] } });
  await talk.until(() => done.length >= 7, 'the side answer');
  report.texts.push(done[6].output[0].content[0].text);
  report.held.push('side question');
  rt.close();
});
