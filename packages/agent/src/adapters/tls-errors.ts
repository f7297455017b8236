/**
 * What went wrong on a connection, in the words of the code table.
 *
 * Service must tell apart: nobody answers (network), somebody else answers (certificate: an attack or a bad proxy),
 * and the server hangs up on this device (not registered, or revoked: it gives no reason, REQ-OTA-NET-02).
 */
import { TransportError } from '../ports/platform.ts';

/** How far a connection had come when it failed. */
export type ConnectionStage = 'connecting' | 'handshaken' | 'answering';

/**
 * OpenSSL's verification results and Node's own name check, as Node spells them. With TLS 1.3 the client has finished
 * its handshake before the server judges the client's certificate, so that the server's alerts come later.
 */
const certificateCodes =
  /^(CERT_|CRL_|UNABLE_TO_|SELF_SIGNED_|DEPTH_ZERO_|HOSTNAME_MISMATCH|INVALID_(CA|PURPOSE)|PATH_LENGTH_|ERROR_IN_CERT|ERR_TLS_CERT_)/;
/** Alerts by which a server says no to the client's certificate. */
const refusalCodes =
  /ALERT_(BAD_CERTIFICATE|UNSUPPORTED_CERTIFICATE|CERTIFICATE_REVOKED|CERTIFICATE_EXPIRED|CERTIFICATE_UNKNOWN|UNKNOWN_CA|ACCESS_DENIED|CERTIFICATE_REQUIRED)/;
/** The server, or somebody between, closed the connection. */
const closedCodes: ReadonlySet<string> = new Set(['ECONNRESET', 'EPIPE', 'ERR_STREAM_PREMATURE_CLOSE']);

/** Turns any error of a request into a `TransportError`; `where` is the server's origin. */
export function transportErrorFrom(error: unknown, stage: ConnectionStage, where: string): TransportError {
  if (error instanceof TransportError) return error;
  const code = error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : '';
  const reason = code === '' ? (error instanceof Error ? error.message : 'unknown error') : code;
  if (certificateCodes.test(code)) {
    const message = `${where}: the server's certificate is not accepted (${reason})`;
    return new TransportError('OTA_SERVER_CERTIFICATE', message, { cause: error });
  }
  if (refusalCodes.test(code) || (stage === 'handshaken' && closedCodes.has(code))) {
    const message = `${where}: the server closed the connection without an answer (${reason})`;
    return new TransportError('OTA_SERVER_REFUSED', message, { cause: error });
  }
  const what = stage === 'answering' ? 'the connection was lost during the answer' : 'no answer';
  return new TransportError('OTA_SERVER_UNREACHABLE', `${where}: ${what} (${reason})`, { cause: error });
}
