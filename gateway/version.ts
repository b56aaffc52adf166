import manifest from '../package.json' with { type: 'json' };

/** This build's version, as recordings and `--version` name it. */
export const VERSION: string = manifest.version;
