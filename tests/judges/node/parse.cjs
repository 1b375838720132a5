// Parses one message with mailparser. In: {raw (base64)}.
// Out: the head, the text, and every part behind it: {contentType, content (base64)}.
const { readFileSync } = require('node:fs');
const { simpleParser } = require('mailparser');

const { raw } = JSON.parse(readFileSync(0, 'utf8'));

simpleParser(Buffer.from(raw, 'base64'), { keepDeliveryStatus: true }).then((mail) => {
  const { value, params } = mail.headers.get('content-type');
  const answer = {
    contentType: value,
    reportType: params['report-type'],
    autoSubmitted: mail.headers.get('auto-submitted'),
    from: mail.from.value[0].address,
    to: mail.to.value[0].address,
    subject: mail.subject,
    text: mail.text,
    parts: mail.attachments.map(({ contentType, content }) => ({
      contentType,
      content: content.toString('base64'),
    })),
  };
  process.stdout.write(JSON.stringify(answer));
});
