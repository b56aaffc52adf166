/**
 * Bodies of webhooks: JSON for programs, ready cards for Google Chat and Slack. They hold who, where, code, hash and a link,
 * never arguments. All names in them are hostile: a client, a server or an identity provider chose them.
 */
import type { WebhookConfig } from '../config-access.ts';
import { writeOutUnseen } from '../unseen.ts';
import { nameOf } from './decider.ts';
import type { OutboxEntry, Told } from './outbox.ts';

const TITLES: Record<Told['event'], string> = {
  'approval.requested': 'A call waits for approval',
  'approval.decided': 'A call was decided',
  'access.requested': 'Access is requested',
  'access.decided': 'A request for access was decided',
  'access.revoked': 'Access was revoked',
  'access.reviewed': 'Break glass was reviewed',
  'breakGlass.opened': 'Break glass: access was opened without approval',
};

/** Code points of one value; receivers refuse long ones. */
const MOST_SHOWN = 200;

/** The body of a delivery. `link`: the page on which it is decided. */
export function webhookBody(format: WebhookConfig['format'], entry: OutboxEntry, link: string): string {
  return JSON.stringify(BODIES[format](entry, link));
}

const BODIES: Record<WebhookConfig['format'], (entry: OutboxEntry, link: string) => unknown> = {
  json: ({ at, told }, link) => {
    const { event, about, code, connection, principal, method, tool, hash, expires, verdict, by } = told;
    return {
      event,
      at: iso(at),
      ...{ kind: about.kind, id: about.id, code },
      ...{ connection, principal, method, tool },
      ...{ link, hash, expires: expires === undefined ? undefined : iso(expires) },
      ...{ verdict, by },
    };
  },
  // https://developers.google.com/workspace/chat/api/reference/rest/v1/cards: `text` of decoratedText is a subset of HTML.
  googleChat: ({ id, told }, link) => ({
    cardsV2: [
      {
        cardId: id,
        card: {
          header: { title: TITLES[told.event], subtitle: told.code },
          sections: [
            {
              widgets: [
                ...linesOf(told).map(([topLabel, value]) => ({ decoratedText: { topLabel, text: escaped(value) } })),
                { buttonList: { buttons: [{ text: 'Open', onClick: { openLink: { url: link } } }] } },
              ],
            },
          ],
        },
      },
    ],
  }),
  // https://docs.slack.dev/reference/block-kit: `verbatim` keeps addresses and names in the text from becoming links.
  slack: ({ told }, link) => ({
    text: `${TITLES[told.event]}: ${told.code}`,
    blocks: [
      { type: 'header', text: { type: 'plain_text', text: TITLES[told.event], emoji: false } },
      {
        type: 'section',
        fields: linesOf(told).map(([label, value]) => ({
          type: 'mrkdwn',
          text: `*${label}*\n${withoutMarkdown(escaped(value))}`,
          verbatim: true,
        })),
      },
      {
        type: 'actions',
        elements: [{ type: 'button', text: { type: 'plain_text', text: 'Open', emoji: false }, url: link }],
      },
    ],
  }),
};

/** Label and value, as a person reads them. Slack shows ten at most. */
function linesOf(told: Told): [label: string, value: string][] {
  const { code, connection, principal, method, tool, hash, expires, verdict, by } = told;
  const who = `${nameOf(principal)}${principal.kind === 'agent' ? ' (agent)' : ''}`;
  const lines: [string, string | undefined][] = [
    ['Code', code],
    ['Who', principal.onBehalfOf === undefined ? who : `${who} for ${principal.onBehalfOf}`],
    ['Connection', connection],
    ['Call', method === undefined ? undefined : [method, tool].filter((part) => part !== undefined).join(' ')],
    ['Decision', verdict === undefined ? undefined : { approve: 'approved', deny: 'denied' }[verdict]],
    ['By', by],
    ['Until', expires === undefined ? undefined : iso(expires)],
    ['SHA-256', hash],
  ];
  return lines.flatMap(([label, value]) => (value === undefined ? [] : [[label, shown(value)]]));
}

function shown(value: string): string {
  const points = Array.from(value);
  return writeOutUnseen(points.length <= MOST_SHOWN ? value : `${points.slice(0, MOST_SHOWN).join('')}…`);
}

/** Both formats know these three and the same entities for them. */
function escaped(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;');
}

/** Slack has no escape for these: look-alikes stand for them, so that no name is bold, struck or breaks out of its line. */
function withoutMarkdown(text: string): string {
  return text.replaceAll(/[*_~`]/g, (character) => LOOK_ALIKES[character] ?? '');
}

const LOOK_ALIKES: Readonly<Record<string, string>> = { '*': '∗', _: '＿', '~': '∼', '`': 'ˋ' };

function iso(milliseconds: number): string {
  return new Date(milliseconds).toISOString();
}
