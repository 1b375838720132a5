// Reads a mailbox with mailpit-api, as a test of somebody's application would. In: {url, query}.
// Out: what each call of the client gave, by its name.
const { readFileSync } = require('node:fs');
const { MailpitClient } = require('mailpit-api');

const { url, query } = JSON.parse(readFileSync(0, 'utf8'));
const mailpit = new MailpitClient(url);

async function main() {
  const told = {};
  const waited = await mailpit.waitForMessage({ query }, { timeout: 10000, interval: 50 });
  told.waited = waited;
  told.info = await mailpit.getInfo();
  told.webui = await mailpit.getConfiguration();
  told.list = await mailpit.listMessages(0, 1);
  told.found = await mailpit.waitForMessages({ query, count: 1, exact: true }, { interval: 50 });
  told.headers = await mailpit.getMessageHeaders(waited.ID);
  told.source = await mailpit.getMessageSource(waited.ID);
  const blob = await mailpit.getMessageAttachment(waited.ID, waited.Attachments[0].PartID);
  told.attachment = { type: blob.type, text: await blob.text() };
  told.html = await mailpit.renderMessageHTML(waited.ID);
  told.text = await mailpit.renderMessageText('latest');
  told.marked = await mailpit.setReadStatus({ IDs: [waited.ID], Read: false });
  told.unread = (await mailpit.searchMessages({ query: 'is:unread' })).messages_count;
  told.tagged = await mailpit.setTags({ IDs: [waited.ID], Tags: ['old'] });
  await mailpit.renameTag('old', 'new one');
  told.tags = await mailpit.getTags();
  await mailpit.deleteTag('new one');
  told.chaos = await mailpit.getChaosTriggers().catch((error) => error.message);
  told.missing = await mailpit.getMessageSummary('none').catch((error) => error.message);
  told.deletedFound = await mailpit.deleteMessagesBySearch({ query });
  told.left = (await mailpit.listMessages()).total;
  told.deletedOne = await mailpit.deleteMessages({ IDs: ['none'] });
  told.deletedAll = await mailpit.deleteMessages();
  told.none = await mailpit.waitForMessages({ query: 'subject:x', count: 0 }, { interval: 50 });
  return told;
}

main().then((told) => process.stdout.write(JSON.stringify(told)));
