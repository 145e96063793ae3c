using System.Text.RegularExpressions;
using FluentValidation;

namespace Platform.Kernel;

/// <summary>What a name in a URL may look like: models, datasets, endpoints, tenants, feature views.</summary>
public static partial class Names
{
    public const int MaxLength = 63;

    /// <summary>Lower-case letters, digits and hyphens, beginning and ending with a letter or digit, at most 63 characters: safe in
    /// URLs, DNS labels, metric labels and file names alike.</summary>
    [GeneratedRegex("^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$")]
    private static partial Regex Slug();

    public static bool IsSlug(string? name) => name is not null && Slug().IsMatch(name);

    /// <summary>FluentValidation rule for such a name.</summary>
    public static IRuleBuilderOptions<T, string> IsName<T>(this IRuleBuilder<T, string> rule) =>
        rule.Must(IsSlug).WithMessage(
            "'{PropertyValue}' cannot be a name: use 1 to 63 lower-case letters, digits and hyphens, beginning and ending with a letter or a digit.");
}
