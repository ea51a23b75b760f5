/** One line of JSON output. Undefined fields are left out of it. */
export type JsonMessage = { readonly message_type: string } & Readonly<Record<string, unknown>>;
