using FluentValidation;

namespace Platform.Registry.Tracking;

/// <summary>What a key of a metric, parameter or tag may be, in either dialect: it is a file's name to some clients, so it may not mean another file.</summary>
internal static class RunKeys
{
    public const int Longest = 250, LongestName = 500, LongestParameter = 6_000, LongestTag = 8_000;
    public const int MostMetrics = 1_000, MostParameters = 100, MostTags = 100, MostInBatch = 1_000;

    public const string Letters = "letters, digits, underscores, dashes, periods, spaces, colons and slashes";

    public static bool HasOnlyLetters(string key) => key.All(letter => char.IsLetterOrDigit(letter) || letter is '_' or '-' or '.' or ' ' or '/' or ':');

    public static bool MeansItself(string key) => key.Split('/').All(part => part is not ("" or "." or ".."));

    public static bool IsSound(string? key) => key is { Length: > 0 and <= Longest } && HasOnlyLetters(key) && MeansItself(key);

    /// <summary>A text the database can keep.</summary>
    public static bool IsText(string? text, int longest) => text is not null && text.Length <= longest && !text.Contains('\0');

    /// <summary>FluentValidation rule for a tag to set or, with null, to take away.</summary>
    public static IRuleBuilderOptions<T, KeyValuePair<string, string?>> IsTagChange<T>(this IRuleBuilder<T, KeyValuePair<string, string?>> rule) =>
        rule.Must(t => IsSound(t.Key) && (t.Value is null || IsText(t.Value, LongestTag)))
            .WithMessage((_, t) => $"The tag '{t.Key}' does not fit: its key has 1 to {Longest} characters ({Letters}), its value is null or a text of at most {LongestTag}.");
}
