using System.Text.Json.Serialization;

namespace Platform.Kernel;

/// <summary>What a route shows of one thing that has a history. Its revision goes out as the <c>ETag</c>, and a write that sends it back as
/// <c>If-Match</c> is refused (412) when somebody else has written in between.</summary>
public interface IHasRevision
{
    /// <summary>How many events the thing's stream had when it was read; 0 when that is not known.</summary>
    [JsonIgnore]
    long Revision { get; }
}
