using System.Text.Json;
using Platform.Kernel;
using Platform.Registry.Contracts;
using Platform.Registry.Intake;

namespace Platform.Registry.Onnx;

/// <summary>Inspects stored files in child processes: a file that crashes, hangs or exhausts the native runtime ends a child
/// and is refused, and predictions never notice.</summary>
/// <param name="limits">How large a model and its data files may be together.</param>
internal sealed class OnnxInspections(IChildProcesses children, IBlobStore blobs, RegistryLimits limits, IntakeTurns turns)
{
    private static readonly TimeSpan Patience = TimeSpan.FromMinutes(3);

    /// <param name="beside">Files that may hold the model's data; where it needs any, what comes back is the model with them inside.</param>
    public async Task<Result<(InspectedModel Model, BlobRef Artifact)>> InspectAsync(string tenant, BlobRef artifact, IReadOnlyList<BlobBeside> beside, CancellationToken ct)
    {
        var sha256 = artifact.Sha256;
        // More than could be carried is not brought along; if the model needs it, the inspection says that it is not there.
        if (artifact.Length + beside.Sum(file => file.Blob.Length) > limits.MaxModelBytes) beside = [];
        var isArchive = false;
        using var turn = await turns.TakeAsync(tenant, ct);
        using var limit = CancellationTokenSource.CreateLinkedTokenSource(ct);
        limit.CancelAfter(Patience);
        try
        {
            isArchive = await IsArchiveAsync(tenant, sha256, ct);
            var result = await children.RunAsync(isArchive ? ArchiveInspection.Work : InspectWork.WorkName, WriteAsync, new Progress<ChildProgress>(), limit.Token, owner: tenant);
            return result.Refusal switch
            {
                null => isArchive ? (OfArchive(result.Value), artifact) : await KeepAsync(result.Value),
                { Kind: RefusalKind.Unavailable } when isArchive => Refusal.Invalid("mlnet-does-not-load", "ML.NET did not survive loading the archive.", "file",
                    "Load the archive once with MLContext.Model.Load, within 2 GB of memory, before sending it."),
                { Kind: RefusalKind.Unavailable } => Refusal.Invalid("onnx-does-not-load", "ONNX Runtime did not survive loading the file.", "file",
                    "Load the file once with ONNX Runtime on CPU, within 2 GB of memory, before sending it."),
                var refusal => refusal,
            };
        }
        catch (OperationCanceledException) when (!ct.IsCancellationRequested)
        {
            return Refusal.Invalid("onnx-does-not-load", $"ONNX Runtime could not load the file within {Patience.TotalMinutes:N0} minutes.", "file", "Simplify the model before exporting it.");
        }

        async Task WriteAsync(Stream input, CancellationToken token)
        {
            if (!isArchive)
            {
                await ChildFrames.WriteHeaderAsync(input, new InspectWork.Header([new("", artifact.Length), .. beside.Select(file => new InspectWork.Following(file.Path, file.Blob.Length))]), token);
            }

            foreach (var content in isArchive ? [sha256] : beside.Select(file => file.Blob.Sha256).Prepend(sha256))
            {
                await using var file = await blobs.OpenAsync(tenant, content, token);
                await file.CopyToAsync(input, token);
            }
        }

        async Task<Result<(InspectedModel, BlobRef)>> KeepAsync(byte[] result)
        {
            var (model, inlined) = await InspectWork.ReadResultAsync(result, ct);
            if (inlined.Length == 0) return (model, artifact);
            using var content = new MemoryStream(result, result.Length - inlined.Length, inlined.Length, writable: false);
            var stored = await blobs.PutAsync(tenant, content, long.MaxValue, ct);
            return stored.Refusal is { } refusal ? refusal : (model, stored.Value);
        }
    }

    private static InspectedModel OfArchive(byte[] result)
    {
        var archive = JsonSerializer.Deserialize<ArchiveDescription>(result) ?? throw new InvalidDataException("The inspection wrote nothing.");
        var facts = new OnnxFacts(0, archive.Producer, new Dictionary<string, long>(), archive.Steps.Values.Sum(), archive.Steps);
        return new InspectedModel(archive.Signature, OnnxInspector.TabularColumns(archive.Signature), archive.PredictionOutput, facts, ArtifactKind.MlNet);
    }

    private async Task<bool> IsArchiveAsync(string tenant, string sha256, CancellationToken ct)
    {
        await using var file = await blobs.OpenAsync(tenant, sha256, ct);
        var first = new byte[4];
        return await file.ReadAtLeastAsync(first, first.Length, throwOnEndOfStream: false, ct) == first.Length && ArchiveInspection.IsArchive(first);
    }
}

/// <summary>A stored file beside a model's, by its path from the model's folder.</summary>
internal sealed record BlobBeside(string Path, BlobRef Blob);
