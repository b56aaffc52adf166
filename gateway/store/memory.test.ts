import { storeBehaviour } from './behaviour.ts';
import { createMemoryStore } from './memory.ts';

storeBehaviour('memory', createMemoryStore);
