/**
 * Under which name an address is counted: itself, or its network of 64 bits for IPv6, since one customer is given that
 * many addresses and could change them at each try.
 */
const mappedPattern = /^::ffff:(\d{1,3}(?:\.\d{1,3}){3})$/i;
const groupsPerAddress = 8;
const groupsPerNetwork = 4;

export function addressName(address: string): string {
  const mapped = mappedPattern.exec(address)?.[1];
  if (mapped !== undefined) return mapped;
  if (!address.includes(':')) return address;
  const [head = '', tail] = (address.split('%')[0] ?? '').toLowerCase().split('::');
  const before = head === '' ? [] : head.split(':');
  const after = tail === undefined || tail === '' ? [] : tail.split(':');
  const zeros = tail === undefined ? 0 : groupsPerAddress - before.length - after.length;
  const groups = [...before, ...Array.from({ length: Math.max(0, zeros) }, () => '0'), ...after];
  const network = groups.slice(0, groupsPerNetwork).map((group) => group.replace(/^0+(?=.)/, ''));
  return `${network.join(':')}::/64`;
}
