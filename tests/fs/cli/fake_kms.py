"""A key management service on this machine, of two calls, for tests. It wraps by XOR with a secret of its own, holds the context to
account, and looks at no signature (backend/kms has a stub that does)."""
import base64
import contextlib
import hashlib
import http.server
import json
import os
import threading

ARN = "arn:aws:kms:ca-central-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab"

REFUSALS = {"Disabled": (400, {"__type": "DisabledException", "message": "it is disabled"}),
            "PendingDeletion": (400, {"__type": "KMSInvalidStateException", "message": f"{ARN} is pending deletion."}),
            "AccessDenied": (400, {"__type": "AccessDeniedException", "message": "not authorized to perform: kms:Decrypt"}),
            "Throttled": (400, {"__type": "ThrottlingException", "message": "Rate exceeded"}),
            "Expired": (400, {"__type": "ExpiredTokenException", "message": "The security token included in the request is expired"}),
            "Failing": (500, {"__type": "KMSInternalException"})}


class FakeKms:
    """`state`: "Enabled", one of REFUSALS, or "Hanging". `asked`: (call, context) of each request."""

    def __init__(self):
        self.secret, self.asked, self.state = os.urandom(32), [], "Enabled"
        self.let_go = threading.Event()

    def mask(self, context):
        return hashlib.sha256(self.secret + json.dumps(context, sort_keys=True).encode()).digest()

    def answer(self, call, request):
        context = request.get("EncryptionContext", {})
        self.asked.append((call, context))
        if self.state == "Hanging":
            self.let_go.wait(120)
        if self.state in REFUSALS:
            return REFUSALS[self.state]
        if call == "GenerateDataKey":
            key = os.urandom(32)
            check = hashlib.sha256(key + self.mask(context)).digest()
            wrapped = bytes(a ^ b for a, b in zip(key, self.mask(context))) + check
            return 200, {"KeyId": ARN, "Plaintext": base64.b64encode(key).decode(), "CiphertextBlob": base64.b64encode(wrapped).decode()}
        wrapped = base64.b64decode(request["CiphertextBlob"])
        key = bytes(a ^ b for a, b in zip(wrapped[:32], self.mask(context)))
        if hashlib.sha256(key + self.mask(context)).digest() != wrapped[32:]:
            return 400, {"__type": "InvalidCiphertextException"}
        return 200, {"KeyId": ARN, "Plaintext": base64.b64encode(key).decode(), "EncryptionAlgorithm": "SYMMETRIC_DEFAULT"}

    @contextlib.contextmanager
    def serving(self):
        """Its environment for who asks it."""
        kms = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                code, body = kms.answer(self.headers["X-Amz-Target"].partition(".")[2], request)
                text = json.dumps(body).encode()
                self.send_response(code)
                self.send_header("Content-Type", "application/x-amz-json-1.1")
                self.send_header("Content-Length", str(len(text)))
                self.end_headers()
                self.wfile.write(text)

            def log_message(self, *_):
                pass

        with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
            threading.Thread(target=server.serve_forever, daemon=True).start()
            try:
                yield {"AWS_ENDPOINT_URL_KMS": f"http://127.0.0.1:{server.server_port}", "AWS_ACCESS_KEY_ID": "AKIDEXAMPLE",
                       "AWS_SECRET_ACCESS_KEY": "secret", "AWS_REGION": "ca-central-1"}
            finally:
                self.let_go.set()
                server.shutdown()
