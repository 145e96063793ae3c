namespace Platform.Host.EmbeddedPostgres;

/// <summary>The embedded PostgreSQL cannot run here; the message is for a person and names the mend, so the host prints it and exits without a stack trace.</summary>
public sealed class EmbeddedServerException(string message, Exception? inner = null) : Exception(message, inner);
