"""Discord: files of DiscordChatExporter, data packages, and messages as the API returns them."""
