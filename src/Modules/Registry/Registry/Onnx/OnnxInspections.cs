using Platform.Kernel;

namespace Platform.Registry.Onnx;

/// <summary>Inspects stored files in child processes, two at a time: a file that crashes, hangs or exhausts the native runtime ends a child
/// and is refused, and predictions never notice.</summary>
internal sealed class OnnxInspections(IChildProcesses children, IBlobStore blobs) : IDisposable
{
    private static readonly TimeSpan Patience = TimeSpan.FromMinutes(3);

    private readonly SemaphoreSlim room = new(2);

    public async Task<Result<InspectedModel>> InspectAsync(string tenant, string sha256, CancellationToken ct)
    {
        await room.WaitAsync(ct);
        using var limit = CancellationTokenSource.CreateLinkedTokenSource(ct);
        limit.CancelAfter(Patience);
        try
        {
            var result = await children.RunAsync(InspectWork.WorkName, WriteAsync, new Progress<ChildProgress>(), limit.Token);
            return result.Refusal switch
            {
                null => InspectWork.ReadResult(result.Value),
                { Kind: RefusalKind.Unavailable } => Refusal.Invalid("onnx-does-not-load", "ONNX Runtime did not survive loading the file.", "file",
                    "Load the file once with ONNX Runtime on CPU, within 2 GB of memory, before sending it."),
                var refusal => refusal,
            };
        }
        catch (OperationCanceledException) when (!ct.IsCancellationRequested)
        {
            return Refusal.Invalid("onnx-does-not-load", $"ONNX Runtime could not load the file within {Patience.TotalMinutes:N0} minutes.", "file", "Simplify the model before exporting it.");
        }
        finally
        {
            room.Release();
        }

        async Task WriteAsync(Stream input, CancellationToken token)
        {
            await using var file = await blobs.OpenAsync(tenant, sha256, token);
            await file.CopyToAsync(input, token);
        }
    }

    public void Dispose() => room.Dispose();
}
