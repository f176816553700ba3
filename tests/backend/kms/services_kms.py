#!/usr/bin/env python3
"""The client of AWS KMS against moto over TLS, which checks signatures and permissions. usage: services_kms.py PROGRAM

moto_server is looked for in PATH, then in the Debian 13 that scripts/setup --services keeps for it.
"""
import datetime
import hashlib
import hmac
import json
import os
import re
import shutil
import socket
import ssl
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.parse
import urllib.request

REGION = "eu-west-1"
ROOT = "/var/lib/assayfs-services/trixie"
# Requests that moto takes without looking who asks: those that make() sends, and no more.
MAKING = 12


def server_command():
    """(how to start it, the root that it sees); or (None, "")."""
    if shutil.which("moto_server"):
        return ["moto_server"], ""
    if os.path.exists(ROOT + "/usr/bin/moto_server") and os.geteuid() == 0:
        return ["chroot", ROOT, "moto_server"], ROOT
    return None, ""


def make_certificate(directory):
    """One that signs itself, for this machine."""
    subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=127.0.0.1",
                    "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", os.path.join(directory, "key.pem"),
                    "-out", os.path.join(directory, "cert.pem")], check=True, capture_output=True, timeout=60)


def free_port():
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


class Server:
    """moto, and requests to it that are not what is tested: signed by these few lines of our own."""

    def __init__(self, command, root, directory):
        self.port = free_port()
        self.host = f"127.0.0.1:{self.port}"
        self.key, self.secret = "AKMAKER", "maker"
        self.log = open(os.path.join(directory, "moto.log"), "wb")
        environment = dict(os.environ, INITIAL_NO_AUTH_ACTION_COUNT=str(MAKING), PYTHONDONTWRITEBYTECODE="1")
        self.bundle = os.path.join(directory, "cert.pem")
        there = directory[len(root):]
        self.process = subprocess.Popen([*command, "-H", "127.0.0.1", "-p", str(self.port), "-s", "-c", there + "/cert.pem",
                                         "-k", there + "/key.pem"], env=environment, stdout=self.log,
                                        stderr=subprocess.STDOUT, cwd="/")
        trusted = urllib.request.HTTPSHandler(context=ssl.create_default_context(cafile=self.bundle))
        self.opener = urllib.request.build_opener(urllib.request.ProxyHandler({}), trusted)

    def wait(self):
        until = time.monotonic() + 120
        while time.monotonic() < until and self.process.poll() is None:
            with socket.socket() as one:
                if one.connect_ex(("127.0.0.1", self.port)) == 0:
                    return True
            time.sleep(0.2)
        return False

    def stop(self):
        self.process.terminate()
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.log.close()

    def send(self, service, body, headers):
        now = datetime.datetime.now(datetime.timezone.utc).strftime("%Y%m%dT%H%M%SZ")
        headers = {**headers, "host": self.host, "x-amz-date": now}
        names = ";".join(sorted(headers))
        scope = f"{now[:8]}/{REGION}/{service}/aws4_request"
        canonical = "\n".join(["POST", "/", "", *(f"{name}:{headers[name]}" for name in sorted(headers)), "", names,
                               hashlib.sha256(body).hexdigest()])
        digest = hashlib.sha256(canonical.encode()).hexdigest()
        key = ("AWS4" + self.secret).encode()
        for part in scope.split("/"):
            key = hmac.new(key, part.encode(), "sha256").digest()
        signature = hmac.new(key, f"AWS4-HMAC-SHA256\n{now}\n{scope}\n{digest}".encode(), "sha256").hexdigest()
        headers["Authorization"] = f"AWS4-HMAC-SHA256 Credential={self.key}/{scope},SignedHeaders={names},Signature={signature}"
        request = urllib.request.Request(f"https://{self.host}/", data=body, headers=headers, method="POST")
        try:
            return self.opener.open(request, timeout=60).read().decode()
        except urllib.error.HTTPError as error:
            raise RuntimeError(f"{headers}: {error.code} {error.read()[:500]}") from error

    def kms(self, verb, **members):
        headers = {"content-type": "application/x-amz-json-1.1", "x-amz-target": f"TrentService.{verb}"}
        return json.loads(self.send("kms", json.dumps(members).encode(), headers) or "{}")

    def query(self, service, version, action, **members):
        body = urllib.parse.urlencode(members | {"Action": action, "Version": version}).encode()
        return self.send(service, body, {"content-type": "application/x-www-form-urlencoded"})

    def iam(self, action, **members):
        return self.query("iam", "2010-05-08", action, **members)

    @staticmethod
    def policy(actions):
        return {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": actions, "Resource": "*"}]}

    def user(self, name, actions):
        """A user who may do these; (access key, secret key)."""
        policy = self.policy(actions)
        self.iam("CreateUser", UserName=name)
        self.iam("PutUserPolicy", UserName=name, PolicyName="p", PolicyDocument=json.dumps(policy))
        made = self.iam("CreateAccessKey", UserName=name)
        return self.texts(made, "AccessKeyId", "SecretAccessKey")

    @staticmethod
    def texts(document, *tags):
        return tuple(re.search(f"<{tag}>(.*?)</{tag}>", document).group(1) for tag in tags)

    def session(self, name, actions):
        """Temporary credentials of a role that may do these; (access key, secret key, session token)."""
        self.iam("CreateRole", RoleName=name, AssumeRolePolicyDocument=json.dumps(self.policy(["sts:AssumeRole"])))
        self.iam("PutRolePolicy", RoleName=name, PolicyName="p", PolicyDocument=json.dumps(self.policy(actions)))
        made = self.query("sts", "2011-06-15", "AssumeRole", RoleArn=f"arn:aws:iam::123456789012:role/{name}",
                          RoleSessionName="s")
        return self.texts(made, "AccessKeyId", "SecretAccessKey", "SessionToken")

    def make(self):
        """Two keys, an alias, two users, one who may and one who may only describe, and a role that may."""
        key = self.kms("CreateKey", Description="the vault's", KeyUsage="ENCRYPT_DECRYPT")["KeyMetadata"]["Arn"]
        other = self.kms("CreateKey", KeyUsage="ENCRYPT_DECRYPT")["KeyMetadata"]["Arn"]
        self.kms("CreateAlias", AliasName="alias/vault", TargetKeyId=key)
        may = self.user("may", ["kms:*"])
        may_not = self.user("maynot", ["kms:DescribeKey"])
        session = self.session("role", ["kms:*"])
        self.key, self.secret = may
        return {"KMS_KEY": key, "KMS_OTHER_KEY": other, "AWS_ACCESS_KEY_ID": may[0], "AWS_SECRET_ACCESS_KEY": may[1],
                "KMS_WEAK_ACCESS_KEY": may_not[0], "KMS_WEAK_SECRET_KEY": may_not[1],
                "KMS_SESSION_ACCESS_KEY": session[0], "KMS_SESSION_SECRET_KEY": session[1], "KMS_SESSION_TOKEN": session[2]}


def main():
    program = sys.argv[1]
    command, root = server_command()
    if not command:
        print("skipped: moto_server is missing; scripts/setup --services")
        return 77
    directory = tempfile.mkdtemp(prefix="assayfs-kms.", dir=root + "/tmp" if root else None)
    server = None
    try:
        make_certificate(directory)
        server = Server(command, root, directory)
        if not server.wait():
            with open(os.path.join(directory, "moto.log"), encoding="utf-8", errors="replace") as log:
                print(log.read()[-3000:])
            return 1
        environment = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
        environment |= {"AWS_ENDPOINT_URL_KMS": f"https://{server.host}", "AWS_CA_BUNDLE": server.bundle, "AWS_REGION": REGION, "HOME": directory,
                        "no_proxy": "*"}
        environment |= server.make()
        # Rotated in the middle, when the program says so: what was wrapped before still opens.
        reader, writer = os.pipe()
        environment["KMS_ROTATE"] = str(writer)
        tried = subprocess.Popen([program], env=environment, stdin=subprocess.PIPE, pass_fds=[writer])
        os.close(writer)
        with open(reader, encoding="ascii") as wish:
            if wish.read():
                server.kms("RotateKeyOnDemand", KeyId=environment["KMS_KEY"])
        tried.stdin.close()
        return tried.wait(300)
    finally:
        if server:
            server.stop()
        shutil.rmtree(directory, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main())
