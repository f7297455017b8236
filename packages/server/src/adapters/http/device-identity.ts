/**
 * Who is at the other end of a device connection. REQ-OTA-NET-02.
 *
 * The handshake asks for a certificate and lets every client through, because Node tells nobody why it refuses; the
 * refusal is made here, in the first moment in which the socket exists: no certificate, one of another authority, an
 * expired, unknown or revoked one, or one whose name is not the registered device's - in each case the socket is
 * destroyed before a byte of HTTP is read, so that none of them can be told from the others.
 */
import type { Server } from 'node:https';
import type { Socket } from 'node:net';
import { TLSSocket } from 'node:tls';
import { certificateDevice, certificateSha256 } from '../../core/certificate.ts';
import type { Store } from '../../ports/store.ts';
import type { Logger } from '../logger.ts';

export interface DeviceIdentity {
  readonly device: string;
  readonly product: string;
}

/** The device of a socket, or why there is none (for the log only, never for the client). */
function identifyDevice(
  socket: TLSSocket,
  store: Pick<Store, 'deviceByCertificate'>,
  nowMs: number,
): DeviceIdentity | string {
  const certificate = socket.getPeerX509Certificate();
  if (certificate === undefined) return 'no certificate';
  if (!socket.authorized) return String(socket.authorizationError);
  // A resumed session is not checked against the clock by TLS.
  if (certificate.validToDate.getTime() <= nowMs) return 'CERT_HAS_EXPIRED';
  const registered = store.deviceByCertificate(certificateSha256(certificate.raw));
  if (registered === undefined) return 'unknown or revoked';
  if (certificateDevice(certificate.subjectAltName) !== registered.device) return 'names another device';
  return registered;
}

/** Refuses strangers at the handshake; answers how a request finds its device (undefined: destroyed meanwhile). */
export function guardDevices(
  server: Server,
  store: Pick<Store, 'deviceByCertificate'>,
  clock: { now(): number },
  logger: Logger,
): (socket: Socket) => DeviceIdentity | undefined {
  const identify = (socket: Socket): DeviceIdentity | undefined => {
    const found = socket instanceof TLSSocket ? identifyDevice(socket, store, clock.now() * 1000) : 'no TLS';
    if (typeof found !== 'string') return found;
    logger.info('device-refused', { reason: found });
    socket.destroy();
    return undefined;
  };
  // Before Node's own listener, which starts to read HTTP.
  server.prependListener('secureConnection', (socket) => void identify(socket));
  return identify;
}
