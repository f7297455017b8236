/**
 * JSON Schemas (TypeBox) of signing in, sessions, users and API tokens at the management API.
 *
 * Secrets stand in bodies only, never in an address, and each is sent once: an answer that holds one says so. Ids of
 * users are lower-case ASCII, so that no two of them look alike, and none is ever given to another person
 * (21 CFR 11.100(a)).
 */
import { type Static, Type } from 'typebox';
import { peopleLimits } from './limits.ts';
import { isPermission, isUserRole, permissions, userRoles } from './permissions.ts';
import { Line, strict } from './schemas.ts';

const Instant = Type.String({ pattern: '^\\d{4}-\\d\\d-\\d\\dT\\d\\d:\\d\\d:\\d\\dZ$' });
export const UserId = Type.String({ pattern: '^[a-z0-9][a-z0-9._@-]{0,63}$' });
export const ApiTokenName = Type.String({ pattern: '^[a-z0-9][a-z0-9._-]{0,31}$' });

const RoleOfUser = Type.Enum(Object.keys(userRoles).filter(isUserRole));
const PermissionName = Type.Enum(Object.keys(permissions).filter(isPermission));

const listOf = { maxItems: peopleLimits.listMax, uniqueItems: true };
/** `infusion-pump/quality`, or `*` for every product. */
const FunctionOf = Type.String({ pattern: '^(?:\\*|[a-z][a-z0-9-]{0,31})/[a-z][a-z0-9-]{0,31}$' });
const ProductOf = Type.String({ pattern: '^(?:\\*|[a-z][a-z0-9-]{0,31})$' });

/** What a user may do, and for what. */
const grant = {
  roles: Type.Array(RoleOfUser, listOf),
  functions: Type.Array(FunctionOf, listOf),
  products: Type.Array(ProductOf, listOf),
};
export const GrantSchema = Type.Object(grant, strict);
export type Grant = Static<typeof GrantSchema>;

/** A secret that a person typed. */
const Secret = Type.String({ minLength: 1, maxLength: peopleLimits.passwordCharactersMax });

/** `bearer`: the session's secret is in the answer, for a program. `cookie`: in a cookie that no script can read. */
const Carrier = Type.Union([Type.Literal('bearer'), Type.Literal('cookie')]);

/** `newPassword`: needed when `password` is a one-time secret, and allowed only then. */
export const SignIn = Type.Object(
  { user: UserId, password: Secret, newPassword: Type.Optional(Secret), carrier: Carrier },
  strict,
);
export type SignIn = Static<typeof SignIn>;

export const SignInWays = Type.Object({ password: Type.Boolean(), provider: Type.Boolean() }, strict);

const who = {
  user: UserId,
  name: Line,
  ...grant,
  permissions: Type.Array(PermissionName),
};
/** `secret`: shown this once, and only to whoever asked for a bearer. */
export const SessionMade = Type.Object({ ...who, expires: Instant, secret: Type.Optional(Secret) }, strict);
export type SessionMade = Static<typeof SessionMade>;

/** `by`: how the caller is known. `name` of an API token is `apiToken`. */
export const CallerView = Type.Object(
  {
    ...who,
    by: Type.Union([Type.Literal('session'), Type.Literal('api-token')]),
    apiToken: Type.Optional(ApiTokenName),
    expires: Instant,
  },
  strict,
);
export type CallerView = Static<typeof CallerView>;

export const PasswordPut = Type.Object({ password: Secret, newPassword: Secret }, strict);

/** `port`: where the program waits on its own machine; `challenge`: SHA-256 of its verifier in base64url. */
export const ProviderStart = Type.Union([
  Type.Object(
    {
      carrier: Type.Literal('bearer'),
      port: Type.Integer({ minimum: 1024, maximum: 65_535 }),
      challenge: Type.String({ pattern: '^[A-Za-z0-9_-]{43}$' }),
    },
    strict,
  ),
  Type.Object({ carrier: Type.Literal('cookie') }, strict),
]);
/** Where the person's browser is to go. `state` comes back to the program beside the code. */
export const ProviderStarted = Type.Object({ address: Type.String(), state: Type.String() }, strict);
const OneTimeCode = Type.String({ pattern: '^[A-Za-z0-9_-]{43}$' });
export const ProviderFinish = Type.Object({ code: OneTimeCode, verifier: OneTimeCode }, strict);

export const UserCreate = Type.Object({ user: UserId, name: Line, ...grant }, strict);
export type UserCreate = Static<typeof UserCreate>;

export const UserView = Type.Object(
  {
    user: UserId,
    name: Line,
    ...grant,
    /** Where the user signs in: here, or at the identity provider, which then says the roles too. */
    from: Type.Union([Type.Literal('here'), Type.Literal('provider')]),
    created: Instant,
    /** A one-time secret waits to be used until then. */
    secretUntil: Type.Optional(Instant),
    lastSignIn: Type.Optional(Instant),
    removed: Type.Optional(Instant),
  },
  strict,
);
export type UserView = Static<typeof UserView>;
export const UserList = Type.Object({ users: Type.Array(UserView) }, strict);
/** `secret`: shown this once. */
export const UserMade = Type.Object({ user: UserView, secret: Secret, secretUntil: Instant }, strict);
export type UserMade = Static<typeof UserMade>;

export const ApiTokenCreate = Type.Object(
  {
    name: ApiTokenName,
    permissions: Type.Array(PermissionName, { ...listOf, minItems: 1 }),
    /** At most those of its user; absent: the same. */
    products: Type.Optional(Type.Array(ProductOf, { ...listOf, minItems: 1 })),
    days: Type.Integer({ minimum: 1, maximum: peopleLimits.apiTokenDaysMax }),
  },
  strict,
);
export type ApiTokenCreate = Static<typeof ApiTokenCreate>;

export const ApiTokenView = Type.Object(
  {
    user: UserId,
    name: ApiTokenName,
    permissions: Type.Array(PermissionName),
    products: Type.Array(ProductOf),
    created: Instant,
    expires: Instant,
    revoked: Type.Optional(Instant),
  },
  strict,
);
export type ApiTokenView = Static<typeof ApiTokenView>;
export const ApiTokenList = Type.Object({ apiTokens: Type.Array(ApiTokenView) }, strict);
/** `secret`: shown this once. */
export const ApiTokenMade = Type.Object({ apiToken: ApiTokenView, secret: Secret }, strict);
export type ApiTokenMade = Static<typeof ApiTokenMade>;
