using System.IO.Compression;
using System.Text.Json;
using Platform.Kernel;
using Platform.Registry.Contracts;

namespace Platform.Inference.Predict.Runtimes;

/// <summary>Inspection of an uploaded archive in a child process: loading a hostile one can at worst end the child.</summary>
internal sealed class MlNetInspection : IChildWork
{
    public string Name => ArchiveInspection.Work;

    public async Task RunAsync(Stream input, Stream output, IProgress<ChildProgress> progress, CancellationToken ct)
    {
        using var file = new MemoryStream();
        await input.CopyToAsync(file, ct);
        try
        {
            using var model = MlNetModel.Open(file.ToArray());
            var steps = model.Steps.GroupBy(step => step).ToDictionary(same => same.Key, same => same.Count());
            await JsonSerializer.SerializeAsync(output, new ArchiveDescription(model.Signature, model.PredictionOutput, "ML.NET", steps), cancellationToken: ct);
        }
        catch (ModelLoadException failure)
        {
            throw new ChildWorkRefusedException(Refusal.Invalid("mlnet-does-not-load", $"The archive cannot be served: {failure.Message}.", "file",
                "Send what MLContext.Model.Save wrote, with its input schema, and no steps of your own code."));
        }
    }
}

/// <summary>What an archive may hold, counted while it is unpacked and not taken from what it says of itself.</summary>
internal static class ZipLimits
{
    private const int MostEntries = 10_000;
    private const long MostBytes = 2L << 30;

    /// <summary>No honest model packs tighter than this.</summary>
    private const long MostTimes = 200, Always = 16 << 20;

    public static void Check(byte[] archive)
    {
        try
        {
            using var zip = new ZipArchive(new MemoryStream(archive, writable: false), ZipArchiveMode.Read);
            if (zip.Entries.Count > MostEntries) throw new ModelLoadException($"it has {zip.Entries.Count:N0} entries; {MostEntries:N0} are allowed");
            var left = Math.Min(MostBytes, Math.Max(Always, archive.Length * MostTimes));
            var chunk = new byte[64 << 10];
            foreach (var entry in zip.Entries)
            {
                if (entry.FullName.StartsWith('/') || entry.FullName.Split('/', '\\').Contains("..")) throw new ModelLoadException("an entry's name points outside the archive");
                using var content = entry.Open();
                int read;
                while ((read = content.Read(chunk)) > 0)
                {
                    if ((left -= read) < 0) throw new ModelLoadException("it unpacks to far more than a model of its size would");
                }
            }
        }
        catch (InvalidDataException failure)
        {
            throw new ModelLoadException("it is no zip archive, or it is damaged", failure);
        }
    }
}
