/** Makes certificates, good ones if nothing else is asked for; every field can be chosen, or broken. */
import { createHash } from "node:crypto";
import { bytes } from "../kit.ts";
import {
  bits,
  contentOf,
  context,
  type Der,
  FALSE,
  implicit,
  int,
  latin1,
  namedBits,
  octets,
  oid,
  seq,
  set,
  string,
  type StringType,
  time,
  TRUE,
} from "./der.ts";
import { type Algorithm, ecKeys, type Keys } from "./keys.ts";
import { once } from "./once.ts";

const ATTRIBUTES = { CN: "2.5.4.3", C: "2.5.4.6", O: "2.5.4.10", OU: "2.5.4.11", E: "1.2.840.113549.1.9.1" } as const;

/** An attribute of a name. */
export function attribute(type: keyof typeof ATTRIBUTES, value: string | Der, as: StringType = "utf8"): Der {
  return seq(oid(ATTRIBUTES[type]), typeof value === "string" ? string(value, as) : value);
}

/** A name of one attribute, its CN, or with an O before. */
export function name(commonName: string, as: StringType = "utf8", organization?: string): Der {
  const o = organization === undefined ? [] : [set(attribute("O", organization, as))];
  return seq(...o, set(attribute("CN", commonName, as)));
}

/** The name with nothing in it. */
export const EMPTY_NAME: Der = seq();

/** An extension; `critical` may be any encoding of a boolean, `null` leaves it out, as DER wants for false. */
export function extension(dotted: string, value: Der, critical: Der | null = null): Der {
  return seq(oid(dotted), ...critical === null ? [] : [critical], octets(value));
}

export const DIGITAL_SIGNATURE = 0;
export const KEY_CERT_SIGN = 5;
export const CRL_SIGN = 6;
const AUTHORITY_USAGE = [KEY_CERT_SIGN, CRL_SIGN];

export const SERVER_AUTH = "1.3.6.1.5.5.7.3.1";
export const CLIENT_AUTH = "1.3.6.1.5.5.7.3.2";
export const CODE_SIGNING = "1.3.6.1.5.5.7.3.3";
export const EMAIL_PROTECTION = "1.3.6.1.5.5.7.3.4";
export const OCSP_SIGNING = "1.3.6.1.5.5.7.3.9";
export const ANY_USAGE = "2.5.29.37.0";

/** What the usual extensions are made of. */
export const ext = {
  basicConstraints: (ca: boolean, pathLength?: number, critical: Der | null = TRUE) =>
    extension(
      "2.5.29.19",
      seq(...ca ? [TRUE] : [], ...pathLength === undefined ? [] : [int(pathLength)]),
      critical,
    ),
  /** basicConstraints whose content is written by hand. */
  rawBasicConstraints: (content: Der, critical: Der | null = TRUE) => extension("2.5.29.19", content, critical),
  keyUsage: (names: number[], critical: Der | null = TRUE) => extension("2.5.29.15", namedBits(...names), critical),
  extKeyUsage: (purposes: string[], critical: Der | null = null) =>
    extension("2.5.29.37", seq(...purposes.map(oid)), critical),
  subjectKeyId: (id: Der) => extension("2.5.29.14", octets(id)),
  authorityKeyId: (id: Der) => extension("2.5.29.35", seq(implicit(0, id))),
  subjectAltName: (names: Der[], critical: Der | null = null) => extension("2.5.29.17", seq(...names), critical),
  nameConstraints: (constraints: { permitted?: Der[]; excluded?: Der[] }, critical: Der | null = TRUE) =>
    extension(
      "2.5.29.30",
      seq(
        ...constraints.permitted ? [context(0, ...constraints.permitted.map((base) => seq(base)))] : [],
        ...constraints.excluded ? [context(1, ...constraints.excluded.map((base) => seq(base)))] : [],
      ),
      critical,
    ),
  /** Of no meaning to anybody. */
  unknown: (critical: Der | null = null) => extension("1.3.6.1.4.1.99999.1", FALSE, critical),
};

/** The kinds of names that subjectAltName and nameConstraints have (RFC 5280, 4.2.1.6). */
export const general = {
  other: (dotted: string, value: Der) => context(0, oid(dotted), context(0, value)),
  email: (text: string | Der) => implicit(1, typeof text === "string" ? bytes(text) : text),
  dns: (text: string | Der) => implicit(2, typeof text === "string" ? bytes(text) : text),
  directory: (name: Der) => context(4, name),
  uri: (text: string) => implicit(6, bytes(text)),
  ip: (...address: number[]) => implicit(7, new Uint8Array(address)),
  registered: (dotted: string) => implicit(8, contentOf(oid(dotted))),
};

/** A holder of a certificate, who may issue others. */
export interface Entity {
  readonly name: Der;
  readonly keys: Keys;
  readonly keyId: Der;
  /** The certificate. */
  readonly der: Der;
}

/** What a certificate is made of. */
export interface Making {
  subject?: Der | undefined;
  keys?: Keys | undefined;
  /** Signs; without one, the certificate is self-signed. */
  issuer?: Entity | undefined;
  /** The issuer's name, where it is not written as the issuer writes it. */
  issuerName?: Der | undefined;
  /** What stands in front of the serial number; `null` for nothing, which is version 1. */
  version?: Der | null | undefined;
  serial?: Der | undefined;
  algorithm?: Algorithm | undefined;
  /** The identifier that is signed, where it is not the one outside. */
  innerAlgorithm?: Der | undefined;
  /** Days from today. */
  from?: number | Der | undefined;
  to?: number | Der | undefined;
  spki?: Der | undefined;
  /** All of them; `null` for none at all. */
  extensions?: Der[] | (() => Der[]) | null | undefined;
  /** What stands between names and extensions, or behind them. */
  trailing?: Der | undefined;
  /** Changes the certificate's parts before they are signed. */
  shape?: ((tbs: Der) => Der) | undefined;
  /** Changes the signature. */
  sign?: ((signature: Uint8Array) => Uint8Array) | undefined;
  /** Changes the certificate at last. */
  wrap?: ((certificate: Der) => Der) | undefined;
}

export const version = (number: number) => context(0, int(number - 1));

let serials = 0;

/** Makes a certificate as told, when it is first looked at: see `ecKeys()`. */
export function make(making: Making): Entity {
  const { keys = ecKeys(), subject = name("none") } = making;
  const serial = making.serial ?? int(0x1000 + serials++);
  const der = once(() => encode({ ...making, serial }, keys, subject));
  return {
    name: subject,
    keys,
    get keyId() {
      return keyIdOf(keys);
    },
    get der() {
      return der();
    },
  };
}

function encode(making: Making & { serial: Der }, keys: Keys, subject: Der): Der {
  const { issuer, extensions, from = -30, to = 30 } = making;
  const algorithm = making.algorithm ?? (issuer?.keys ?? keys).algorithm;
  const written = making.version === undefined ? version(3) : making.version;
  const list = typeof extensions === "function" ? extensions() : extensions;
  const tbs = seq(
    ...written === null ? [] : [written],
    making.serial,
    making.innerAlgorithm ?? algorithm.identifier,
    making.issuerName ?? issuer?.name ?? subject,
    seq(typeof from === "number" ? time(from) : from, typeof to === "number" ? time(to) : to),
    subject,
    making.spki ?? keys.spki,
    ...list ? [context(3, seq(...list))] : [],
    ...making.trailing ? [making.trailing] : [],
  );
  const signed = making.shape?.(tbs) ?? tbs;
  const signature = algorithm.sign(signed, (issuer?.keys ?? keys).privateKey);
  const certificate = seq(signed, algorithm.identifier, bits(making.sign?.(signature) ?? signature));
  return making.wrap?.(certificate) ?? certificate;
}

/** The usual way to make an identifier of a key: RFC 5280, 4.2.1.2. */
export function keyIdOf({ spki }: Keys): Der {
  return new Uint8Array(createHash("sha1").update(spki).digest());
}

/** What to change of the usual extensions, by name; `null` leaves one out. */
export interface Changes extends Making {
  basic?: Der | null | undefined;
  usage?: Der | null | undefined;
  purposes?: Der | null | undefined;
  names?: Der | null | undefined;
  keyIds?: boolean | undefined;
  /** Further extensions, behind the usual ones. */
  more?: Der[] | undefined;
}

function usual(changes: Changes, keys: Keys, defaults: Partial<Record<string, Der>>): Der[] {
  const ids = changes.keyIds === false ? [] : [
    ext.subjectKeyId(keyIdOf(keys)),
    ...changes.issuer === undefined ? [] : [ext.authorityKeyId(changes.issuer.keyId)],
  ];
  const chosen = (["basic", "usage", "purposes", "names"] as const).map((which) => {
    const change = changes[which];
    return change === undefined ? defaults[which] : change;
  });
  return [...chosen.filter((extension) => extension != null), ...ids, ...changes.more ?? []];
}

let authorities = 0;

/** An authority: a root, unless it has an issuer. */
export function authority(changes: Changes = {}): Entity {
  const keys = changes.keys ?? ecKeys();
  const subject = changes.subject ?? name(`Authority ${++authorities}`);
  const defaults = { basic: ext.basicConstraints(true), usage: ext.keyUsage(AUTHORITY_USAGE) };
  return make({ extensions: () => usual(changes, keys, defaults), ...changes, keys, subject });
}

/** The name that a leaf is for if nothing else is asked for. */
export const HOST_NAME = "leaf.test";

/** What a leaf's subjectAltName has. */
export function altNames(...hosts: string[]): Der {
  return ext.subjectAltName(hosts.map((host) => general.dns(host)));
}

/** A certificate for a server or a client. */
export function leaf(issuer: Entity, changes: Changes = {}): Entity {
  const keys = changes.keys ?? ecKeys();
  const defaults = {
    basic: ext.basicConstraints(false),
    usage: ext.keyUsage([DIGITAL_SIGNATURE]),
    purposes: ext.extKeyUsage([SERVER_AUTH, CLIENT_AUTH]),
    names: altNames(HOST_NAME),
  };
  const made = { issuer, ...changes, keys };
  return make({ subject: name("leaf"), extensions: () => usual(made, keys, defaults), ...made });
}

/** A certificate as PEM. */
export function toPem(der: Uint8Array): string {
  const lines = btoa(String.fromCharCode(...der)).match(/.{1,64}/g) ?? [];
  return `-----BEGIN CERTIFICATE-----\n${lines.join("\n")}\n-----END CERTIFICATE-----\n`;
}

export { latin1 };
