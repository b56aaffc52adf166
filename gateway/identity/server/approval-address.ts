/** Addresses of approvals and access, for errors, links and pages. */

/** Where a call that waits is decided, and where who asked sees how it stands. */
export function approvalUrl(publicUrl: string, id: string): string {
  return `${publicUrl}/approvals/${id}`;
}

/** Where one gets in to a connection. */
export function accessUrl(publicUrl: string, connection: string): string {
  return `${publicUrl}/access/${connection}`;
}
