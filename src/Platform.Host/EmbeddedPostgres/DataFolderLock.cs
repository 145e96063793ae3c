using System.Globalization;

namespace Platform.Host.EmbeddedPostgres;

/// <summary>
/// One host per data folder: the kernel gives the lock back when its holder dies, whatever kills it.
/// The file with the process id is only there to name the holder, and to tell that it did not leave in order.
/// </summary>
internal sealed class DataFolderLock : IDisposable
{
    private readonly FileStream _lock;
    private readonly string _holderFile;

    private DataFolderLock(FileStream held, string holderFile, int? abandonedBy)
    {
        _lock = held;
        _holderFile = holderFile;
        AbandonedBy = abandonedBy;
    }

    /// <summary>The host that had this folder before and did not release it: it was killed, or the machine went down.</summary>
    internal int? AbandonedBy { get; }

    internal static DataFolderLock Take(string dataDirectory)
    {
        var holderFile = Path.Combine(dataDirectory, "platform.pid");
        FileStream? held = null;
        try
        {
            held = new FileStream(Path.Combine(dataDirectory, "platform.lock"), FileMode.OpenOrCreate, FileAccess.ReadWrite, FileShare.None);
            var abandonedBy = ReadHolder(holderFile);
            File.WriteAllText(holderFile, Environment.ProcessId.ToString(CultureInfo.InvariantCulture));
            return new DataFolderLock(held, holderFile, abandonedBy);
        }
        catch (IOException e) when (held is null && e.HResult == WouldBlock)
        {
            throw new EmbeddedServerException(
                $"Another platform{(ReadHolder(holderFile) is { } pid ? $", pid {pid}," : "")} uses the data folder {dataDirectory}. " +
                "Stop it, or give this one a folder of its own with PLATFORM_DATA.");
        }
        catch
        {
            held?.Dispose();
            throw;
        }
    }

    public void Dispose()
    {
        File.Delete(_holderFile);
        _lock.Dispose();
    }

    // EWOULDBLOCK: .NET hands the system's error number on as HResult.
    private const int WouldBlock = 11;

    private static int? ReadHolder(string file)
    {
        try
        {
            return int.Parse(File.ReadAllText(file), CultureInfo.InvariantCulture);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException or FormatException)
        {
            return null;
        }
    }
}
