type Permissions = NodeJS.Process & {
  readonly permission?: { has(scope: string, reference?: string): boolean }
}

/**
 * @internal Throws as Node does if it has a permission for the network, as of Node 25 (`--allow-net`), and this process
 * doesn't have it: Node's own checks don't see the system calls of an addon.
 */
export function checkNetworkAllowed(): void {
  const { permission, allowedNodeEnvironmentFlags } = process as Permissions
  // Earlier versions return false from has() for the scope `net`, as for any that they don't know.
  if (permission === undefined || !allowedNodeEnvironmentFlags.has('--allow-net') || permission.has('net')) return
  throw denied('Net', '--allow-net')
}

/** @internal Throws in the same way for a file to be read (`--allow-fs-read`). */
export function checkReadAllowed(path: string | Uint8Array): void {
  const { permission } = process as Permissions
  if (permission === undefined) return
  const resource = Buffer.from(path as string).toString()
  if (!permission.has('fs.read', resource)) {
    throw Object.assign(denied('FileSystemRead', '--allow-fs-read'), { resource })
  }
}

function denied(permission: string, flag: string): Error {
  return Object.assign(new Error(`Access to this API has been restricted. Use ${flag} to manage permissions.`), {
    code: 'ERR_ACCESS_DENIED',
    permission,
  })
}
