/**
 * @internal Throws as Node does if it has a permission for the network, of Node 25 and later (`--allow-net`), and this
 * process doesn't have it: system calls of an addon are beyond Node's own checks.
 */
export function checkNetworkAllowed(): void {
  const { permission, allowedNodeEnvironmentFlags } = process as NodeJS.Process & {
    readonly permission?: { has(scope: string): boolean }
  }
  // Before, has() answers false to the scope `net`, as to any that it doesn't know.
  if (permission === undefined || !allowedNodeEnvironmentFlags.has('--allow-net') || permission.has('net')) return
  throw Object.assign(new Error('Access to this API has been restricted. Use --allow-net to manage permissions.'), {
    code: 'ERR_ACCESS_DENIED',
    permission: 'Net',
  })
}
