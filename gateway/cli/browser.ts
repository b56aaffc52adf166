import { spawn } from 'node:child_process';

/**
 * Shows a URL in the person's browser, with the platform's own opener. No shell is involved: the URL holds what a
 * server chose. Rejects where there is no opener or it fails to start.
 */
export async function openBrowser(url: URL): Promise<void> {
  if (url.protocol !== 'https:' && url.protocol !== 'http:') throw new Error('Only web pages are opened.');
  const [command, ...args] = opener(process.platform);
  await new Promise<void>((resolve, reject) => {
    const child = spawn(command, [...args, url.href], { stdio: 'ignore', detached: true, shell: false });
    child.once('error', reject);
    child.once('spawn', () => {
      // The browser outlives this program.
      child.unref();
      resolve();
    });
  });
}

/** The command and the arguments before the URL. */
export function opener(platform: NodeJS.Platform): [command: string, ...args: string[]] {
  if (platform === 'darwin') return ['open'];
  // Not `start`: it belongs to cmd.exe, which would read the URL's `&` as its own.
  if (platform === 'win32') return ['rundll32', 'url.dll,FileProtocolHandler'];
  return ['xdg-open'];
}
