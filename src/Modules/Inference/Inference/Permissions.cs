namespace Platform.Inference;

/// <summary>What may be done with endpoints and predictions.</summary>
internal static class Permissions
{
    public const string Read = "inference:read";
    public const string Write = "inference:write";
    public const string Predict = "inference:predict";

    /// <summary>Of the platform's administrators, who look after the server and all its tenants.</summary>
    public const string Operate = "platform:operate";
}
