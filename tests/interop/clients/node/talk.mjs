// What the clients for Node share; the same as talk.py, which explains it.
//
// Must never import a client library: those belong to the clients.
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import path from 'node:path';

export const MODEL = 'gpt-realtime-2.1';
export const URL_ = process.env.INTEROP_URL;
export const KEY = process.env.INTEROP_KEY;
export const ASK_TIME = 'What time is it in Lisbon?';
export const NOON = 'noon in Lisbon';
const QUESTION = readFileSync(process.env.INTEROP_QUESTION);
const BLOCK_BYTES = 960; // 20 ms
const PACE_MS = 4;
const STEP_MS = 20_000;

export function version(name) {
  const here = path.dirname(fileURLToPath(import.meta.url));
  return JSON.parse(readFileSync(path.join(here, 'node_modules', name, 'package.json'))).version;
}

export class Talk {
  constructor(name, number) {
    this.report = { package: name, version: number, audio_bytes: [], calls: [], words: [], interruptions: 0, texts: [], errors: [], held: [] };
  }

  add(size) {
    this.report.audio_bytes[this.report.audio_bytes.length - 1] += size;
  }

  pause(ms) {
    return new Promise((resolve) => setTimeout(resolve, ms));
  }

  async until(happened, what) {
    const end = performance.now() + STEP_MS;
    while (!happened()) {
      if (performance.now() > end) throw new Error(`waited ${STEP_MS / 1000} s in vain: ${what}`);
      await this.pause(10);
    }
  }

  async speak(push) {
    for (let at = 0; at < QUESTION.length; at += BLOCK_BYTES) {
      push(QUESTION.subarray(at, at + BLOCK_BYTES));
      await this.pause(PACE_MS);
    }
  }

  async perform(talk) {
    try {
      await talk(this.report);
    } catch (error) {
      this.report.errors.push(`${error.name}: ${error.message}`);
    }
    process.stdout.write(`${JSON.stringify(this.report)}\n`, () => process.exit(0));
  }
}
