// Reads the messages of a file again and again, as Confluent's deserializers for Java do: Jackson's trees, Avro's generic records, Protobuf's dynamic
// messages. Prints events a second of the fastest pass, once the compiler is warm.
//
//     java Decoders.java json|avro|protobuf MESSAGES SCHEMA

import com.fasterxml.jackson.databind.ObjectMapper;
import com.google.protobuf.DescriptorProtos.FileDescriptorSet;
import com.google.protobuf.Descriptors.Descriptor;
import com.google.protobuf.Descriptors.FileDescriptor;
import com.google.protobuf.DynamicMessage;
import java.io.DataInputStream;
import java.io.EOFException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import org.apache.avro.Schema;
import org.apache.avro.generic.GenericDatumReader;
import org.apache.avro.generic.GenericRecord;
import org.apache.avro.io.BinaryDecoder;
import org.apache.avro.io.DecoderFactory;

public class Decoders {
  interface Reader {
    Object read(byte[] message) throws Exception;
  }

  static final double WARM_SECONDS = 3;
  static final double MEASURED_SECONDS = 3;

  public static void main(String[] args) throws Exception {
    List<byte[]> messages = messages(Path.of(args[1]));
    Reader reader = reader(args[0], Path.of(args[2]));
    pass(reader, messages, WARM_SECONDS);
    System.out.printf("%.0f%n", pass(reader, messages, MEASURED_SECONDS));
  }

  /** Messages, each behind its length. */
  static List<byte[]> messages(Path path) throws Exception {
    List<byte[]> all = new ArrayList<>();
    try (DataInputStream in = new DataInputStream(Files.newInputStream(path))) {
      while (true) {
        all.add(in.readNBytes(in.readInt()));
      }
    } catch (EOFException end) {
      return all;
    }
  }

  static Reader reader(String format, Path schema) throws Exception {
    switch (format) {
      case "json":
        ObjectMapper mapper = new ObjectMapper();
        return mapper::readTree;
      case "avro":
        GenericDatumReader<GenericRecord> records =
            new GenericDatumReader<>(new Schema.Parser().parse(Files.readString(schema)));
        BinaryDecoder[] decoder = new BinaryDecoder[1];
        GenericRecord[] record = new GenericRecord[1];
        return message -> {
          decoder[0] = DecoderFactory.get().binaryDecoder(message, decoder[0]);
          record[0] = records.read(record[0], decoder[0]);
          return record[0];
        };
      case "protobuf":
        FileDescriptorSet set = FileDescriptorSet.parseFrom(Files.readAllBytes(schema));
        FileDescriptor file = FileDescriptor.buildFrom(set.getFile(0), new FileDescriptor[0]);
        Descriptor prediction = file.findMessageTypeByName("Prediction");
        return message -> DynamicMessage.parseFrom(prediction, message);
      default:
        throw new IllegalArgumentException(format);
    }
  }

  /** Events a second of the fastest pass. */
  static double pass(Reader reader, List<byte[]> messages, double seconds) throws Exception {
    long begun = System.nanoTime();
    double best = 0;
    int read = 0;
    while (System.nanoTime() - begun < seconds * 1e9) {
      long start = System.nanoTime();
      for (byte[] message : messages) {
        read += reader.read(message) == null ? 0 : 1;
      }
      best = Math.max(best, messages.size() * 1e9 / (System.nanoTime() - start));
    }
    if (read == 0) {
      throw new IllegalStateException("nothing was read");
    }
    return best;
  }
}
