"""A mail server of aiosmtpd, which prints its port and then each message as a line of JSON. It ends when its input does."""

import asyncio
import json
import ssl
import sys

from aiosmtpd.smtp import SMTP, AuthResult, LoginPassword

encryption, certificate, key, password, busy = sys.argv[1:]


class Handler:
    left = int(busy)
    put_off = 2

    async def handle_RCPT(self, server, session, envelope, address, options):
        name = address.split("@")[0]
        if name == "gone":
            return f"550 nobody is called so, {password}"
        if name == "never" or (name == "later" and self.put_off > 0):
            self.put_off -= name == "later"
            return f"450 come back later, {password}"
        session.silent = name == "silent"
        envelope.rcpt_tos.append(address)
        return "250 taken"

    async def handle_QUIT(self, server, session, envelope):
        if getattr(session, "silent", False):
            await asyncio.Event().wait()
        return "221 goodbye"

    async def handle_DATA(self, server, session, envelope):
        if self.left > 0:
            self.left -= 1
            # A server that says what it should not.
            return f"451 come back later, {password}"
        message = {
            "from": envelope.mail_from,
            "to": envelope.rcpt_tos,
            "content": envelope.content.decode("utf-8"),
            "encrypted": session.ssl is not None or encryption == "tls",
            "login": bool(session.authenticated),
        }
        print(json.dumps(message), flush=True)
        return "250 taken"


def authenticate(server, session, envelope, mechanism, data):
    known = isinstance(data, LoginPassword) and (data.login, data.password) == (b"etl", password.encode())
    return AuthResult(success=known, handled=known)


async def main():
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate, key)
    options = {"hostname": "mail.test"}
    if encryption != "none":
        options.update(authenticator=authenticate, auth_required=True, auth_require_tls=encryption == "starttls")
    if encryption == "starttls":
        options.update(tls_context=context, require_starttls=True)
    handler, loop = Handler(), asyncio.get_running_loop()
    server = await loop.create_server(
        lambda: SMTP(handler, loop=loop, **options), "127.0.0.1", 0, ssl=context if encryption == "tls" else None
    )
    print(server.sockets[0].getsockname()[1], flush=True)
    await loop.run_in_executor(None, sys.stdin.read)


asyncio.run(main())
