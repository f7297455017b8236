/** The smallest complete configuration: everything that has no default. */
export const exampleConfig = {
  schema: 'airlock-agent-config/1',
  device: 'pump-1',
  product: 'infusion-pump',
  stateFolder: 'state',
  server: {
    url: 'https://localhost:8443',
    authorityFile: 'tls/authority.pem',
    certificateFile: 'tls/device.pem',
    keyFile: 'tls/device.key.pem',
  },
  logKeyFile: 'log.key.pem',
  slots: { rootfs: { A: 'slots/a', B: '/dev/disk/by-partlabel/b' } },
  identity: { kind: 'tar', component: 'rootfs', member: 'airlock-image.json' },
  bootControl: { kind: 'file', file: 'boot' },
  selfTest: { tests: [{ name: 'sensor', command: ['/bin/true'], critical: true }] },
  interlock: 'none',
  poll: { intervalSeconds: 60 },
  bootloaderVersion: 1,
  // Nothing that a test starts may restart the machine that runs it.
  reboot: { command: ['/bin/true'] },
};
