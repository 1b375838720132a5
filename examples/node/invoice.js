// Sends an invoice by nodemailer; resolves to what became of it.
import nodemailer from "nodemailer";

export async function sendInvoice(server, address) {
  const transport = nodemailer.createTransport({ ...server, secure: false, ignoreTLS: true });
  try {
    await transport.sendMail({
      from: "billing@example.test",
      to: address,
      subject: "Invoice 17",
      text: "Please pay.",
    });
    return { sent: true };
  } catch (refused) {
    return { sent: false, code: refused.responseCode, why: refused.response };
  } finally {
    transport.close();
  }
}
