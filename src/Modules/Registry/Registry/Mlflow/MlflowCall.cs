using System.Globalization;
using System.Runtime.InteropServices;
using System.Text.Json;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.DependencyInjection;
using Platform.Kernel;

namespace Platform.Registry.Mlflow;

/// <summary>A request of the dialect: values by name, from the JSON body or, where there is none, the query. Unknown names are ignored. The first value that is
/// missing or wrong becomes <see cref="Wrong"/>, so that an operation reads all it needs and then looks once.</summary>
internal sealed class MlflowCall : IDisposable
{
    private readonly JsonDocument? body;
    private readonly JsonElement fields;
    private readonly string prefix;

    private MlflowCall(HttpContext context, JsonDocument? body)
    {
        (Context, this.body, prefix) = (context, body, "");
        fields = body?.RootElement ?? default;
    }

    private MlflowCall(MlflowCall parent, JsonElement fields, string prefix) => (Context, this.fields, this.prefix) = (parent.Context, fields, prefix);

    public HttpContext Context { get; }

    public string Tenant => Context.Features.Get<Caller>()!.Tenant;

    public CancellationToken Aborted => Context.RequestAborted;

    /// <summary>What is wrong with the values that were read so far; null when nothing is.</summary>
    public Refusal? Wrong { get; private set; }

    public static async Task<Result<MlflowCall>> OpenAsync(HttpContext context)
    {
        var request = context.Request;
        if (HttpMethods.IsGet(request.Method)) return new MlflowCall(context, null);
        try
        {
            var body = await JsonDocument.ParseAsync(request.Body, default, context.RequestAborted);
            if (body.RootElement.ValueKind is JsonValueKind.Object) return new MlflowCall(context, body);
            body.Dispose();
            return Bad("The request's body must be a JSON object.");
        }
        catch (JsonException) when (request.ContentLength is 0 || (request.ContentLength is null && !request.Headers.ContainsKey("Transfer-Encoding")))
        {
            return new MlflowCall(context, null);
        }
        catch (JsonException malformed)
        {
            return Refusal.Invalid("BAD_REQUEST", $"The request's body is not JSON (line {malformed.LineNumber + 1}, byte {malformed.BytePositionInLine}).");
        }
    }

    public T Get<T>() where T : notnull => Context.RequestServices.GetRequiredService<T>();

    /// <summary>How many bytes the body has; a request that is sent in chunks does not say so itself.</summary>
    public int Length => fields.ValueKind is JsonValueKind.Object ? JsonMarshal.GetRawUtf8Value(fields).Length : 0;

    /// <summary>Whether a value stands under the name at all.</summary>
    public bool Has(string name) => fields.ValueKind is JsonValueKind.Object
        ? fields.TryGetProperty(name, out var value) && value.ValueKind is not JsonValueKind.Null
        : Context.Request.Query.ContainsKey(name);

    public string? Text(string name, int longest = int.MaxValue)
    {
        var text = Read(name, value => value.ValueKind is JsonValueKind.String ? StringOf(value) : null);
        if (text is null) return null;
        if (text.Contains('\0')) Refuse($"Invalid value for parameter '{Full(name)}' supplied: it contains the character NUL.");
        else if (text.Length > longest) Refuse($"'{Full(name)}' had length {text.Length}, which exceeded length limit of {longest}");
        return text;
    }

    /// <summary>A text that must be there and not be empty.</summary>
    public string Required(string name, int longest = int.MaxValue)
    {
        if (Text(name, longest) is { Length: > 0 } text) return text;
        Missing(name);
        return "";
    }

    /// <summary>An id, which some send as a number.</summary>
    public string RequiredId(params ReadOnlySpan<string> names)
    {
        foreach (var name in names)
        {
            if (!Has(name)) continue;
            return Read(name, value => value.ValueKind switch { JsonValueKind.String => StringOf(value), JsonValueKind.Number => value.GetRawText(), _ => null }) ?? "";
        }

        Missing(names[^1]);
        return "";
    }

    public long? Int64(string name) => Read<long>(name, value => value.ValueKind switch
    {
        JsonValueKind.Number when value.TryGetInt64(out var whole) => whole,
        JsonValueKind.Number when value.TryGetDouble(out var number) && Math.Truncate(number) == number && Math.Abs(number) < 9e18 => (long)number,
        JsonValueKind.String when long.TryParse(StringOf(value), NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture, out var whole) => whole,
        _ => null,
    });

    /// <summary>A number, or one of the texts NaN, Infinity and -Infinity.</summary>
    public double? Double(string name) => Read<double>(name, value => value.ValueKind switch
    {
        JsonValueKind.Number when value.TryGetDouble(out var number) => number,
        JsonValueKind.String => StringOf(value) switch
        {
            "NaN" => double.NaN,
            "Infinity" => double.PositiveInfinity,
            "-Infinity" => double.NegativeInfinity,
            var text => double.TryParse(text, NumberStyles.Float, CultureInfo.InvariantCulture, out var number) && double.IsFinite(number) ? number : null,
        },
        _ => null,
    });

    public bool Bool(string name) => Read<bool>(name, value => value.ValueKind switch
    {
        JsonValueKind.True => true,
        JsonValueKind.False => false,
        JsonValueKind.String when bool.TryParse(StringOf(value), out var flag) => flag,
        _ => null,
    }) ?? false;

    /// <summary>How many to answer with: at least one, at most <paramref name="most"/>.</summary>
    public int MaxResults(int fallback, int most)
    {
        var asked = Int64("max_results") ?? fallback;
        if (asked is > 0 && asked <= most) return (int)asked;
        Refuse($"Invalid value {asked} for parameter 'max_results' supplied: it must be a positive integer of at most {most}.");
        return fallback;
    }

    /// <summary>A list of objects, each to be read like the call itself.</summary>
    public List<T> Objects<T>(string name, Func<MlflowCall, T> read)
    {
        List<T> items = [];
        foreach (var (item, i) in Items(name).Select((item, i) => (item, i)))
        {
            if (item.ValueKind is not JsonValueKind.Object)
            {
                Refuse($"Invalid value for parameter '{Full(name)}[{i}]' supplied: it must be an object.");
                break;
            }

            var inner = new MlflowCall(this, item, $"{Full(name)}[{i}].");
            items.Add(read(inner));
            if (inner.Wrong is { } wrong)
            {
                Wrong ??= wrong;
                break;
            }
        }

        return items;
    }

    /// <summary>An object, to be read like the call itself.</summary>
    public T? Object<T>(string name, Func<MlflowCall, T> read) where T : class
    {
        if (fields.ValueKind is not JsonValueKind.Object || !fields.TryGetProperty(name, out var value) || value.ValueKind is JsonValueKind.Null) return null;
        if (value.ValueKind is not JsonValueKind.Object)
        {
            Refuse($"Invalid value for parameter '{Full(name)}' supplied: it must be an object.");
            return null;
        }

        var inner = new MlflowCall(this, value, $"{Full(name)}.");
        var made = read(inner);
        Wrong ??= inner.Wrong;
        return made;
    }

    /// <summary>A list of texts; in a query, the name repeated.</summary>
    public List<string> Texts(string name)
    {
        List<string> texts = [];
        if (fields.ValueKind is not JsonValueKind.Object)
        {
            texts.AddRange(Context.Request.Query[name].OfType<string>());
            if (texts.Any(text => text.Contains('\0'))) Refuse($"Invalid value for parameter '{Full(name)}' supplied: it contains the character NUL.");
            return texts;
        }

        foreach (var item in Items(name))
        {
            if (item.ValueKind is JsonValueKind.String && StringOf(item) is { } text && !text.Contains('\0')) texts.Add(text);
            else if (item.ValueKind is JsonValueKind.Number) texts.Add(item.GetRawText());
            else Refuse($"Invalid value {Shown(item)} for parameter '{Full(name)}' supplied: it must be a list of strings.");
        }

        return texts;
    }

    public void Refuse(string detail) => Wrong ??= Bad(detail);

    /// <summary>What is wrong with the parsed value becomes what is wrong with the call.</summary>
    public T? Take<T>(Result<T> parsed)
    {
        Wrong ??= parsed.Refusal;
        return parsed.ValueOrDefault;
    }

    public static Refusal Bad(string detail) => Refusal.Invalid("INVALID_PARAMETER_VALUE", detail);

    public void Dispose() => body?.Dispose();

    private string Full(string name) => prefix + name;

    private void Missing(string name) =>
        Refuse($"Missing value for required parameter '{Full(name)}'. See the API docs for more information about request parameters.");

    private JsonElement[] Items(string name)
    {
        if (fields.ValueKind is not JsonValueKind.Object || !fields.TryGetProperty(name, out var value) || value.ValueKind is JsonValueKind.Null) return [];
        if (value.ValueKind is JsonValueKind.Array) return [.. value.EnumerateArray()];
        Refuse($"Invalid value {Shown(value)} for parameter '{Full(name)}' supplied: it must be a list.");
        return [];
    }

    private string? Read(string name, Func<JsonElement, string?> convert)
    {
        if (fields.ValueKind is not JsonValueKind.Object) return Context.Request.Query.TryGetValue(name, out var query) ? query.ToString() : null;
        if (!fields.TryGetProperty(name, out var value) || value.ValueKind is JsonValueKind.Null) return null;
        if (convert(value) is { } converted) return converted;
        Refuse($"Invalid value {Shown(value)} for parameter '{Full(name)}' supplied.");
        return null;
    }

    private T? Read<T>(string name, Func<JsonElement, T?> convert) where T : struct
    {
        if (!Has(name)) return null;
        var value = fields.ValueKind is JsonValueKind.Object ? fields.GetProperty(name) : JsonSerializer.SerializeToElement(Context.Request.Query[name].ToString());
        if (convert(value) is { } converted) return converted;
        Refuse($"Invalid value {Shown(value)} for parameter '{Full(name)}' supplied.");
        return null;
    }

    /// <summary>The text, or null where its escapes make no text.</summary>
    private static string? StringOf(JsonElement value)
    {
        try
        {
            return value.GetString();
        }
        catch (InvalidOperationException)
        {
            return null;
        }
    }

    private static string Shown(JsonElement value) => value.GetRawText() is { Length: > 80 } text ? text[..80] + "…" : value.GetRawText();
}
