namespace Features.Tests.Datasets.Csv;

public class CsvHeaderTests
{
    [Theory]
    [InlineData(',')]
    [InlineData(';')]
    [InlineData('\t')]
    [InlineData('|')]
    public void The_delimiter_is_found_also_where_values_hold_the_others(char delimiter)
    {
        var read = ReadCsv.Of(string.Join('\n',
            string.Join(delimiter, "id", "\"note, long; or | short\"", "price"),
            string.Join(delimiter, "1", "\"a,b;c|d\te\"", "10"),
            string.Join(delimiter, "2", "plain", "20")));

        read.Content.Delimiter.ShouldBe(delimiter);
        read.Content.Columns.Select(column => column.Name).ShouldBe(["id", "note, long; or | short", "price"]);
        read.Content.Rows.ShouldBe(2);
    }

    [Fact]
    public void Semicolons_win_over_the_commas_of_decimal_numbers() =>
        ReadCsv.Of("name;size;price\nA, first;1,5;2,5\nB, second;3,5;4,5\n").Content.Columns.Count.ShouldBe(3);

    [Fact]
    public void A_file_of_one_column_is_read()
    {
        var read = ReadCsv.Of("price\n1\n2\n\n3\n");

        read.Content.Rows.ShouldBe(3);
        read.Content.Quarantined.ShouldBe(0);
    }

    [Fact]
    public void An_empty_file_is_refused() => ReadCsv.Of("").Refusal.Code.ShouldBe("empty-file");

    [Fact]
    public void A_file_of_blank_lines_is_refused() => ReadCsv.Of("\n \r\n\t\n").Refusal.Code.ShouldBe("empty-file");

    [Fact]
    public void A_header_without_rows_is_refused()
    {
        var refusal = ReadCsv.Of("a,b\n").Refusal;

        refusal.Code.ShouldBe("empty-dataset");
        refusal.Field.ShouldBe("file");
    }

    [Fact]
    public void A_missing_header_is_noticed()
    {
        var refusal = ReadCsv.Of("7129300520,\"20141013T000000\",221900,,true,\"00123\"\n1,\"20141013T000000\",2,3,false,4\n").Refusal;

        refusal.Code.ShouldBe("missing-header");
        refusal.Detail.ShouldContain("Line 1");
    }

    [Fact]
    public void Duplicated_names_are_named()
    {
        var refusal = ReadCsv.Of("price,size,price\n1,2,3\n").Refusal;

        refusal.Code.ShouldBe("bad-column-names");
        refusal.Field.ShouldBe("price");
        refusal.Detail.ShouldBe("The columns 1 and 3 are both called 'price'.");
        refusal.Mend.ShouldBe("Rename one of them.");
    }

    [Fact]
    public void Every_bad_name_is_listed()
    {
        var refusal = ReadCsv.Of(",size,  ,size,\"two\nlines\"\n1,2,3,4,5\n").Refusal;

        refusal.Field.ShouldBe("column 1");
        refusal.Errors.Select(error => error.Field).ShouldBe(["column 1", "column 3", "size", "column 5"]);
    }

    [Fact]
    public void A_header_whose_quote_is_never_closed_is_refused() =>
        ReadCsv.Of("a,\"b\n1,2\n3,4\n").Refusal.Code.ShouldBe("unreadable-header");

    [Fact]
    public void Too_many_columns_are_refused()
    {
        var header = string.Join(',', Enumerable.Range(0, 2_001).Select(i => $"c{i}"));

        ReadCsv.Of($"{header}\n").Refusal.Code.ShouldBe("too-many-columns");
    }

    [Fact]
    public void A_file_over_the_size_limit_is_refused_before_it_is_read()
    {
        var refusal = ReadCsv.Of("a,b\n1,2\n", ReadCsv.Limits with { MaxBytes = 7 }).Refusal;

        refusal.Code.ShouldBe("too-large");
        refusal.Detail.ShouldContain("7 bytes");
    }

    [Fact]
    public void More_rows_than_the_limit_are_refused() =>
        ReadCsv.Of("a,b\n1,2\n3,4\n5,6\n", ReadCsv.Limits with { MaxRows = 2 }).Refusal.Code.ShouldBe("too-many-rows");
}
