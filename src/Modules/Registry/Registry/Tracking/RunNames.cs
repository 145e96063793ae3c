namespace Platform.Registry.Tracking;

/// <summary>Names for runs that were given none.</summary>
internal static class RunNames
{
    private static readonly string[] First = ["amber", "brave", "calm", "deft", "eager", "fond", "glad", "keen", "lively", "mellow", "noble", "proud", "quick", "silent", "tidy", "vivid"];
    private static readonly string[] Second = ["ant", "bear", "crane", "deer", "eel", "finch", "goat", "hare", "ibis", "jay", "lynx", "mole", "newt", "owl", "pike", "wren"];

    public static string For(Guid id)
    {
        var bytes = id.ToByteArray();
        return $"{First[bytes[^1] % First.Length]}-{Second[bytes[^2] % Second.Length]}-{((bytes[^3] << 8) | bytes[^4]) % 1000}";
    }
}
