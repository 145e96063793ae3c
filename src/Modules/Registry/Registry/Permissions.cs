namespace Platform.Registry;

/// <summary>What may be done with models and training.</summary>
internal static class Permissions
{
    public const string Read = "registry:read";
    public const string Write = "registry:write";
}
