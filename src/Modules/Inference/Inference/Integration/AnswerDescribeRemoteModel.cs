using System.Text.Json;
using MediatR;
using Platform.Inference.Predict.Runtimes;
using Platform.Kernel;
using Platform.Kernel.Http;
using Platform.Registry.Contracts;

namespace Platform.Inference.Integration;

/// <summary>Answers the registry by asking the other server, with the same guard that later calls pass: what it takes and gives, and whether it takes tensors as bytes.</summary>
internal sealed class AnswerDescribeRemoteModel(RemoteHttp http, CallerScope scope) : IRequestHandler<DescribeRemoteModel, Result<RemoteModelDescription>>
{
    private const long LongestAnswer = 1 << 20;

    public async Task<Result<RemoteModelDescription>> Handle(DescribeRemoteModel ask, CancellationToken ct)
    {
        if (!Uri.TryCreate(ask.Url, UriKind.Absolute, out var url) || url.Scheme is not ("http" or "https") || url.UserInfo.Length > 0 || url.Query.Length > 0 || url.Fragment.Length > 0)
            return Refusal.Invalid("bad-url", "The address is not a plain http or https address.", "url", "Send an address such as https://models.example.com, without the protocol's /v2, a user, a query or a fragment.");
        var tenant = scope.Current.Tenant;
        string? authorization = null;
        if (ask.Credential is { } name && (authorization = http.Credential(name, url.Host, tenant, out var why)) is null)
            return Refusal.Invalid("no-such-credential", $"The version cannot be added: {why}.", "credential", "Ask the platform's operator to set it up for that host, or leave it out.");
        var place = new RemoteDescriptor(tenant, url, ask.Model, ask.Version, ask.TimeoutMs, ask.Credential, Binary: false, new ModelSignature([], []));
        using var limit = CancellationTokenSource.CreateLinkedTokenSource(ct);
        limit.CancelAfter(ask.TimeoutMs);
        try
        {
            using var server = await GetAsync(new Uri($"{url.AbsoluteUri.TrimEnd('/')}/v2"), authorization, limit.Token);
            using var model = await GetAsync(place.Address(), authorization, limit.Token);
            var signature = new ModelSignature(Tensors(model.RootElement, "inputs"), Tensors(model.RootElement, "outputs"));
            if (signature.Inputs.Count == 0 || signature.Outputs.Count == 0) return Unusable("it names no inputs or no outputs");
            var binary = server.RootElement.TryGetProperty("extensions", out var extensions) && extensions.EnumerateArray().Any(extension => extension.GetString() == "binary_tensor_data");
            var platform = model.RootElement.TryGetProperty("platform", out var runs) ? runs.GetString() ?? "" : "";
            return new RemoteModelDescription(JsonSerializer.SerializeToUtf8Bytes(place with { Binary = binary, Signature = signature }), signature, platform);
        }
        catch (HttpRequestException failure) when (failure.InnerException is ForbiddenAddressException)
        {
            return Refusal.Invalid("address-not-allowed", $"The host '{url.Host}' has no address that may be called from here.", "url",
                "Use a public address, or ask the platform's operator to allow the host (Inference:Remote:AllowedHosts).");
        }
        catch (HttpRequestException failure)
        {
            return Unusable(failure.StatusCode is { } status ? $"it answered {(int)status}" : "it cannot be reached");
        }
        catch (OperationCanceledException) when (!ct.IsCancellationRequested)
        {
            return Unusable($"it did not answer within {ask.TimeoutMs} ms");
        }
        catch (Exception failure) when (failure is JsonException or KeyNotFoundException or InvalidOperationException or FormatException or IOException or NotSupportedException)
        {
            return Unusable("what it says of the model cannot be understood");
        }

        Refusal Unusable(string because) => Refusal.Invalid("remote-model-unusable", $"The model '{ask.Model}' at {url} cannot be used: {because}.", "url",
            "Check that the server speaks the Open Inference Protocol over HTTP at that address, has the model, and takes the credential.");
    }

    private async Task<JsonDocument> GetAsync(Uri address, string? authorization, CancellationToken ct)
    {
        using var request = new HttpRequestMessage(HttpMethod.Get, address);
        if (authorization is not null) request.Headers.TryAddWithoutValidation("Authorization", authorization);
        using var response = await http.SendAsync(request, ct);
        response.EnsureSuccessStatusCode();
        await response.Content.LoadIntoBufferAsync(LongestAnswer, ct);
        return await JsonDocument.ParseAsync(await response.Content.ReadAsStreamAsync(ct), default, ct);
    }

    private static TensorSpec[] Tensors(JsonElement model, string member) =>
    [
        .. model.GetProperty(member).EnumerateArray().Select(tensor => new TensorSpec(
            tensor.GetProperty("name").GetString()!,
            Datatypes.Parse(tensor.GetProperty("datatype").GetString()!)?.Name() ?? throw new NotSupportedException("A datatype is not known."),
            [.. tensor.GetProperty("shape").EnumerateArray().Select(size => size.GetInt64() is >= 0 and var fixedSize ? fixedSize : -1)])),
    ];
}
