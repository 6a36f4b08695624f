"""Makes the signatures here with the tool that people sign models with: pip install model-signing==1.1.1 pyopenssl, then python make.py.

`model/` is signed with keys of each curve, with each hash, by files and by shards, and with certificates. What the tool does not
make (statements that are wrong in themselves, and other envelopes around them) is signed with its own functions. Private keys
are thrown away.
"""

import base64
import datetime
import json
import pathlib
import shutil
import tempfile

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from model_signing import hashing, signing
from model_signing._signing import sign_ec_key, sign_sigstore_pb

HERE = pathlib.Path(__file__).parent
MODEL = HERE / "model"
KEYS = pathlib.Path(tempfile.mkdtemp())
PEM, PKCS8 = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8


def write_model():
    shutil.rmtree(MODEL, ignore_errors=True)
    (MODEL / "weights").mkdir(parents=True)
    (MODEL / "config.json").write_text('{"layers": 2}\n')
    (MODEL / "weights" / "part-1.bin").write_bytes(bytes(range(250)))
    (MODEL / "weights" / "part-2.bin").write_bytes(b"second part\n" * 25)
    (HERE / "single.bin").write_bytes(b"one file\n" * 10)


def new_key(name, curve):
    key = ec.generate_private_key(curve)
    path = KEYS / f"{name}.key"
    path.write_bytes(key.private_bytes(PEM, PKCS8, serialization.NoEncryption()))
    public = key.public_key().public_bytes(PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    (HERE / f"{name}.pub.pem").write_bytes(public)
    return key, path


def certificate(subject, key, issuer, issuer_key, days, ca=False, usage=None, names=()):
    start = datetime.datetime(2024, 1, 1, tzinfo=datetime.timezone.utc)
    name = lambda text: x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])
    builder = x509.CertificateBuilder(name(issuer), name(subject), key.public_key(), x509.random_serial_number())
    builder = builder.not_valid_before(start).not_valid_after(start + datetime.timedelta(days=days))
    builder = builder.add_extension(x509.BasicConstraints(ca, None), critical=True)
    flags = ["digital_signature", "content_commitment", "key_encipherment", "data_encipherment", "key_agreement",
             "key_cert_sign", "crl_sign", "encipher_only", "decipher_only"]
    on = {"key_cert_sign", "crl_sign"} if ca else {"digital_signature"}
    builder = builder.add_extension(x509.KeyUsage(**{f: f in on for f in flags}), critical=True)
    if usage:
        builder = builder.add_extension(x509.ExtendedKeyUsage([usage]), critical=False)
    if names:
        builder = builder.add_extension(x509.SubjectAlternativeName(list(names)), critical=False)
    return builder.sign(issuer_key, hashes.SHA256())


def sign(name, configure, config=None, model=MODEL):
    made = configure(signing.Config())
    made.set_hashing_config(config or hashing.Config().set_ignored_paths(paths=["model.sig"], ignore_git_paths=True))
    made.sign(model, HERE / f"{name}.sig")


def with_certificates(keys):
    century = 365 * 100
    root_key, _ = new_key("root", ec.SECP384R1())
    between_key, _ = new_key("between", ec.SECP256R1())
    root = certificate("company root", root_key, "company root", root_key, century, ca=True)
    between = certificate("company signing", between_key, "company root", root_key, century, ca=True)
    (HERE / "ca.pem").write_bytes(root.public_bytes(PEM))
    chain = KEYS / "between.pem"
    chain.write_bytes(between.public_bytes(PEM))
    other_key, _ = new_key("other-root", ec.SECP256R1())
    other = certificate("other root", other_key, "other root", other_key, century, ca=True)
    (HERE / "other-ca.pem").write_bytes(other.public_bytes(PEM))
    names = [x509.RFC822Name("release@company.example"), x509.UniformResourceIdentifier("https://ci.example/models")]
    code, server = ExtendedKeyUsageOID.CODE_SIGNING, ExtendedKeyUsageOID.SERVER_AUTH
    for name, days, usage in [("chain", century, code), ("expired", 30, code), ("server", century, server)]:
        key, path = new_key(name, ec.SECP256R1())
        leaf = certificate("model release", key, "company signing", between_key, days, usage=usage, names=names)
        file = KEYS / f"{name}.pem"
        file.write_bytes(leaf.public_bytes(PEM))
        sign(name, lambda c: c.use_certificate_signer(private_key=path, signing_certificate=file, certificate_chain=[chain]))
    for name in ["root", "between", "other-root", "chain", "expired", "server"]:
        (HERE / f"{name}.pub.pem").unlink()


def statement():
    bundle = json.loads((HERE / "p256.sig").read_text())
    return json.loads(base64.b64decode(bundle["dsseEnvelope"]["payload"]))


def root_of(said):
    digest = hashes.Hash(hashes.SHA256())
    for resource in said["predicate"]["resources"]:
        digest.update(bytes.fromhex(resource["digest"]))
    return digest.finalize().hex()


def by_hand(name, change, key, consistent=True, envelope=lambda e: e):
    """A statement that was changed and then signed, as whoever holds the key could."""
    said = statement()
    change(said)
    if consistent:
        said["subject"][0]["digest"]["sha256"] = root_of(said)
    payload = json.dumps(said).encode()
    signature = key.sign(sign_sigstore_pb.pae(payload), ec.ECDSA(hashes.SHA256()))
    bundle = json.loads((HERE / "p256.sig").read_text())
    bundle["dsseEnvelope"]["payload"] = base64.b64encode(payload).decode()
    bundle["dsseEnvelope"]["signatures"] = [{"sig": base64.b64encode(signature).decode()}]
    envelope(bundle)
    (HERE / f"{name}.sig").write_text(json.dumps(bundle))


def main():
    write_model()
    keys = {}
    for name, curve in [("p256", ec.SECP256R1()), ("p384", ec.SECP384R1()), ("p521", ec.SECP521R1()), ("other", ec.SECP256R1())]:
        keys[name] = new_key(name, curve)
        sign(name, lambda c: c.use_elliptic_key_signer(private_key=keys[name][1]))
    p256 = lambda c: c.use_elliptic_key_signer(private_key=keys["p256"][1])
    for algorithm in ["blake2", "blake3"]:
        sign(algorithm, p256, hashing.Config().use_file_serialization(hashing_algorithm=algorithm))
    for name, algorithm in [("shards", "sha256"), ("shards-blake2", "blake2")]:
        sign(name, p256, hashing.Config().use_shard_serialization(hashing_algorithm=algorithm, shard_size=100))
    sign("single", p256, model=HERE / "single.bin")
    linked = pathlib.Path(tempfile.mkdtemp()) / "model"
    shutil.copytree(MODEL, linked)
    (linked / "link.json").symlink_to("config.json")
    sign("links", p256, hashing.Config().use_file_serialization(allow_symlinks=True).set_allow_symlinks(True), linked)
    with_certificates(keys)

    key = keys["p256"][0]
    first = lambda said: said["predicate"]["resources"][0]
    by_hand("traversal", lambda said: first(said).update(name="../config.json"), key)
    by_hand("absolute", lambda said: first(said).update(name="/etc/passwd"), key)
    by_hand("swapped", lambda said: said["predicate"]["resources"].reverse(), key, consistent=False)
    by_hand("twice", lambda said: said["predicate"]["resources"].append(dict(first(said))), key)
    by_hand("nothing", lambda said: said["predicate"].update(resources=[]), key)
    by_hand("ignores-all", lambda said: said["predicate"]["serialization"].update(ignore_paths=["."]), key)
    by_hand("other-predicate", lambda said: said.update(predicateType="https://slsa.dev/provenance/v1"), key)
    by_hand("md5", lambda said: said["predicate"]["serialization"].update(hash_type="md5"), key)
    def other_type(bundle):
        bundle["dsseEnvelope"]["payloadType"] = "text/plain"
    def two(bundle):
        bundle["dsseEnvelope"]["signatures"] *= 2
    def keyless(bundle):
        bundle["verificationMaterial"] = {"certificate": {"rawBytes": "MIIB"}, "tlogEntries": [{"logIndex": "1"}]}
    by_hand("payload-type", lambda said: None, key, envelope=other_type)
    by_hand("two-signatures", lambda said: None, key, envelope=two)
    by_hand("keyless", lambda said: None, key, envelope=keyless)


main()
