// Sends one raw message with nodemailer. In: {transport, envelope, raw (base64)}.
// Out: {response, accepted} or {error: {code, command, responseCode, response, message}}.
const { readFileSync } = require('node:fs');
const nodemailer = require('nodemailer');

const { transport, envelope, raw } = JSON.parse(readFileSync(0, 'utf8'));

nodemailer
  .createTransport(transport)
  .sendMail({ envelope, raw: Buffer.from(raw, 'base64') })
  .then(({ response, accepted }) => ({ response, accepted }))
  .catch(({ code, command, responseCode, response, message }) => ({
    error: { code, command, responseCode, response, message },
  }))
  .then((answer) => process.stdout.write(JSON.stringify(answer)));
